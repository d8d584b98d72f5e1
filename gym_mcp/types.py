"""The plain data that crosses every border: tasks, tool results, transcripts, rewards.

Items are OpenAI Responses-API items (`message`, `function_call`, `function_call_output`, `reasoning`, ...)
kept as plain dicts: they are carried, stored and replayed, never remodelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias

from typing_extensions import TypeVar

Item: TypeAlias = dict[str, Any]
JSONObject: TypeAlias = dict[str, Any]
Row = TypeVar("Row", default=Any)


@dataclass(frozen=True, slots=True)
class Task(Generic[Row]):
    """One row of a dataset.

    `prompt`: Responses input items, or a text, which becomes a user's message. `data`: what the environment (never
    the agent) sees, a dict or the environment's row model. `params`: sampling settings that the row asks for
    (`temperature`, `tool_choice`, ...). `tools`: names the row allows, or None for all.
    """

    id: str
    prompt: Sequence[Item] = ()
    data: Row = field(default_factory=dict)  # type: ignore[assignment]
    params: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[str, ...] | None = None
    raw: JSONObject | None = field(default=None, compare=False, repr=False)
    """`data` as the row had it, fields that its model does not declare included."""

    def __post_init__(self) -> None:
        prompt: Any = self.prompt
        if isinstance(prompt, str):
            object.__setattr__(self, "prompt", [user_message(prompt)])


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a tool result: raw bytes and their media type."""

    data: bytes
    media_type: str = "image/png"


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What an agent is told about a tool."""

    name: str
    description: str
    input_schema: JSONObject
    read_only: bool = False

    def as_function(self) -> Item:
        """The tool in the form of the Responses API."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.input_schema,
            "strict": False,
        }


@dataclass(slots=True)
class ToolResult:
    """What the model reads after a call: one text in every client, and images where the tool makes them.

    `ended` tells a harness that the episode takes no more calls.
    """

    text: str
    is_error: bool = False
    images: tuple[Image, ...] = ()
    ended: bool = False


class Call:
    """One tool call of a reference solution: `Call("add", amount=2)`."""

    __slots__ = ("arguments", "name")

    def __init__(self, name: str, /, **arguments: Any) -> None:
        self.name = name
        self.arguments = arguments

    def __repr__(self) -> str:
        rest = "".join(f", {k}={v!r}" for k, v in self.arguments.items())
        return f"Call({self.name!r}{rest})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and (self.name, self.arguments) == (other.name, other.arguments)

    __hash__ = None  # type: ignore[assignment]


@dataclass(slots=True)
class Reward:
    """A score inside the environment's declared range, its named parts, and a note on why.

    `answer`: what the verifier read as the answer, for majority votes; empty when it found none, None when it
    looks for none.
    """

    score: float
    components: dict[str, float] = field(default_factory=dict)
    notes: str = ""
    answer: str | None = None


def text_of(item: Mapping[str, Any]) -> str:
    """All text of one message item, its parts joined without a separator."""
    content = item.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(
        part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
    )


def assistant_message(text: str) -> Item:
    """An assistant message item that holds `text`."""
    return {
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }


def user_message(text: str) -> Item:
    """A user message item that holds `text`."""
    return {"type": "message", "role": "user", "content": text}


@dataclass(slots=True)
class Transcript:
    """What the agent produced: output items in order, and why it stopped.

    `stop` is `completed`, `ended` (the environment closed the episode), or the budget that ran out:
    `max_turns`, `max_tokens`, `max_cost`.
    """

    items: list[Item] = field(default_factory=list)
    stop: str = "completed"
    spans: list[JSONObject] = field(default_factory=list)
    """Parts of the harness's work that contain calls (a graph's nodes, sub-agents); fields in `docs/runs.md`."""
    facts: JSONObject = field(default_factory=dict)
    """What the harness has to say of this rollout: versions, exit code, skills; JSON, kept as `harness_facts`."""

    def messages(self) -> Iterator[Item]:
        """The assistant's message items, in order."""
        for item in self.items:
            if item.get("type", "message") == "message" and item.get("role") == "assistant":
                yield item

    @property
    def answer(self) -> str:
        """Text of the last assistant message; empty when there is none."""
        last = None
        for last in self.messages():  # noqa: B007 - the last one is wanted
            pass
        return "" if last is None else text_of(last)

    @property
    def text(self) -> str:
        """Text of all assistant messages, joined without a separator (the SDK's `output_text`)."""
        return "".join(text_of(m) for m in self.messages())

    def calls(self) -> list[Item]:
        """The function calls that the model asked for. The ledger says which of them happened."""
        return [item for item in self.items if item.get("type") == "function_call"]


@dataclass(frozen=True, slots=True)
class GroupRollout:
    """One rollout of a task's group, as `verify_group` sees it: `reward` is what `verify` gave it alone."""

    repeat: int
    transcript: Transcript
    reward: Reward
    ledger: Sequence[JSONObject] = ()
