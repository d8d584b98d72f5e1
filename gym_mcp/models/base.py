"""The one interface of every model: `respond(request) -> response`, in Responses-API items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from gym_mcp.types import Item, JSONObject, Task

if TYPE_CHECKING:
    from gym_mcp.client import EpisodeClient


@dataclass(slots=True)
class Usage:
    """Tokens of one or more model calls. `cached` is part of `input`, `reasoning` part of `output`."""

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    calls: int = 0

    def add(self, other: Usage) -> None:
        self.input += other.input
        self.output += other.output
        self.cached += other.cached
        self.reasoning += other.reasoning
        self.calls += other.calls

    @property
    def total(self) -> int:
        return self.input + self.output

    def as_json(self) -> JSONObject:
        """The counts under the names of a rollout row."""
        return {
            "model_calls": self.calls,
            "input_tokens": self.input,
            "output_tokens": self.output,
            "cached_tokens": self.cached,
            "reasoning_tokens": self.reasoning,
        }


TOKEN_FIELDS: Final = frozenset({"prompt_token_ids", "generation_token_ids", "generation_log_probs"})
"""NeMo Gym's names of what a call's tokens were, on the last item of its output."""


@dataclass(slots=True)
class Tokens:
    """The tokens of one call, as the endpoint's own tokenizer made them.

    `log_probs` are natural logarithms, one for each token of `generation`; empty when the endpoint did not tell.
    """

    prompt: list[int]
    generation: list[int]
    log_probs: list[float]


@dataclass(slots=True)
class Request:
    """One model call. `input` holds the whole conversation; `tools` are Responses function tools.

    `params` are further fields of the Responses API (`temperature`, `max_output_tokens`, `instructions`, ...).
    A model must not change the lists: harnesses pass their own, growing ones.
    """

    input: Sequence[Item]
    tools: Sequence[Item] = ()
    params: JSONObject = field(default_factory=dict)


@dataclass(slots=True)
class Response:
    """What a model answered. `incomplete` is why it was cut short (`max_output_tokens`, `content_filter`)."""

    output: list[Item]
    usage: Usage = field(default_factory=Usage)
    status: Literal["completed", "incomplete"] = "completed"
    incomplete: str | None = None
    id: str = ""
    model: str = ""
    latency: float = 0.0
    """Seconds from the first try to the answer, waits included."""
    retries: int = 0
    seq: int = -1
    """Number of the call in its rollout, from 0, in the order in which calls started; set by the meter."""
    tokens: Tokens | None = None
    """Where the endpoint was asked for them and tells."""


@dataclass(frozen=True, slots=True)
class RolloutContext:
    """What the coordinator tells a model about the rollout it serves. Only embedded models look at it."""

    task: Task[Any]
    repeat: int
    seed: int
    episode: EpisodeClient


class Model(ABC):
    """An LLM endpoint. One instance serves all rollouts of a run; `for_rollout` may return one of its own."""

    spec: str
    price: tuple[float, float] | None = None
    """US dollars per million input and output tokens; None when unknown."""

    @abstractmethod
    async def respond(self, request: Request) -> Response:
        """Answer, or raise `ModelError` once retries are spent."""

    def for_rollout(self, context: RolloutContext) -> Model:
        """The model that serves one rollout: itself, unless it keeps state (an oracle's place in its script)."""
        return self

    def identity(self) -> JSONObject:
        """What decides the answers: name, endpoint, sampling. No secrets. Part of the run's identity."""
        return {"spec": self.spec}

    async def aclose(self) -> None:
        """Close connections."""
        return None
