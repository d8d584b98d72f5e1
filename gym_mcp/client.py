"""Drive an environment through its operator plane: what the coordinator knows, whatever the transport.

Each rung of the transport ladder is an `EnvironmentClient`; the suite in `tests/test_ladder.py` holds them to
the same behaviour. A harness gets the `AgentSession` of an episode and cannot tell which rung it is on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gym_mcp.solution import Step
from gym_mcp.types import GroupRollout, Item, JSONObject, Reward, Task, ToolResult, ToolSpec, Transcript


@dataclass(frozen=True, slots=True)
class Description:
    """What `describe` tells of an environment. `tools` carry an output schema for the operator only."""

    name: str
    version: str
    summary: str
    interaction: str
    reward_range: tuple[float, float]
    higher_is_better: bool
    floor: float
    has_solution: bool
    num_tasks: int | None
    tools: list[JSONObject] = field(default_factory=list)
    identity: Mapping[str, str] = field(default_factory=dict)
    """Content hashes: `environment`, `verifier`, `options`."""
    groups: bool = False
    """Whether a task's rollouts are scored together (`verify_group`) once all have ended."""
    max_live: int | None = None
    """Episodes that it holds at a time, of all its clients together; None: any number."""
    workers: Sequence[str] = ()
    """Operator planes of the processes that serve it, where it is served."""
    unreached: Sequence[str] = ()
    """Those of them that could not be reached from here, and get no episodes."""


@dataclass(slots=True)
class Verdict:
    """The outcome of `verify_episode`: the reward, and the server's record that it rests on."""

    reward: Reward
    ledger: list[JSONObject]
    judge_usage: JSONObject | None = None
    """Tokens that the verifier's judge spent; None when none was asked."""


@dataclass(slots=True)
class GroupVerdict:
    """The outcome of `verify_group`: a reward for each rollout, in their order, and what its judge used."""

    rewards: list[Reward]
    judge_usage: JSONObject | None = None


class AgentSession(ABC):
    """The agent plane of one episode, as a harness sees it."""

    prompt: Sequence[Item]
    """Responses input items: system, developer and user messages of the task."""
    params: Mapping[str, Any]
    """Sampling settings that the task asks for."""
    multi_turn: bool = True
    """Whether a user may answer the agent's messages (`reply`)."""
    url: str | None = None
    """URL of the agent plane for agents of their own process; None off HTTP."""

    @abstractmethod
    async def list_tools(self) -> Sequence[ToolSpec]: ...

    @abstractmethod
    async def call(self, name: str, arguments: JSONObject, caller: str = "") -> ToolResult:
        """Call a tool. Errors that the model should read come back as results with `is_error`.

        `caller` is the harness's name for the part of it that calls (a branch, a sub-agent), for the ledger.
        """

    @abstractmethod
    async def reply(self, message: str) -> str | None:
        """Tell the user `message`; what they say next, or None when the conversation is over."""


class EpisodeClient(ABC):
    """One open episode, as the coordinator sees it."""

    agent: AgentSession

    @abstractmethod
    async def reference_step(self, index: int, results: Sequence[str]) -> Step:
        """Step `index` of `solution()`, given the result texts of the step before."""

    @abstractmethod
    async def verify(self, transcript: Transcript) -> Verdict:
        """Freeze, score and close the episode. Idempotent."""

    @abstractmethod
    async def state(self) -> JSONObject: ...

    @abstractmethod
    async def ledger(self) -> list[JSONObject]: ...

    @abstractmethod
    async def close(self) -> None: ...


class EnvironmentClient(ABC):
    """An environment, behind any transport. Use it as an async context manager."""

    @abstractmethod
    async def describe(self) -> Description: ...

    @abstractmethod
    def tasks(self) -> AsyncIterator[JSONObject]:
        """The environment's own tasks as rows (the form of `tasks.jsonl`)."""

    @abstractmethod
    async def open_episode(
        self, task: Task[Any], *, seed: int, key: str | None = None, wait: float = 0.0
    ) -> EpisodeClient:
        """Open an episode of `task`. Idempotent by `key`.

        `EnvironmentBusy` where there is no room for it, after waiting for some for `wait` seconds if the server
        lets its clients.
        """

    @abstractmethod
    async def verify_group(self, task: Task[Any], rollouts: Sequence[GroupRollout]) -> GroupVerdict:
        """Score the rollouts of one task together, where the description says `groups`. Nothing is kept of it."""

    async def aclose(self) -> None:
        """Free connections and processes."""
        return None

    async def __aenter__(self) -> EnvironmentClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()
