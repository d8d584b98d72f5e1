"""The shapes that the operator plane's tools give back, and how an error travels and is rebuilt.

The output schemas of the operator plane are made from these types; `docs/protocol.md` describes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn, NotRequired

from typing_extensions import TypedDict

from gym_mcp.errors import (
    EnvironmentBusy,
    EnvironmentFailure,
    EpisodeGone,
    GymError,
    HarnessError,
    JudgeError,
    RolloutCancelled,
    RolloutError,
    RolloutTimeout,
    UsageError,
    VerifierError,
)
from gym_mcp.types import Item, JSONObject

EXTENSION: Final = "io.gym-mcp/environment"
ENDED: Final = "io.gym-mcp/ended"
"""`_meta` key of a tool result after which the episode takes no more calls."""
CALLER: Final = "io.gym-mcp/caller"
"""`_meta` key of an agent's tool call: its own name for the part of it that calls. Only the ledger has it."""
STRUCTURED_ONLY: Final = "io.gym-mcp/structured-only"
"""`_meta` key of an operator request: leave out the text form of the structured result."""
VERSION: Final = "2"
"""Of the operator plane's tools."""


class ToolInfo(TypedDict):
    """A tool as the operator sees it."""

    name: str
    description: str
    inputSchema: JSONObject
    outputSchema: NotRequired[JSONObject | None]
    readOnly: bool


class Described(TypedDict):
    """What `describe` gives. A bound of `reward_range` is null when there is none.

    `max_live`: episodes that the server holds at a time, of all clients together. `workers`: the operator planes
    of all processes that serve it, each with episodes of its own.
    """

    name: str
    version: str
    summary: str
    interaction: str
    reward_range: tuple[float | None, float | None]
    higher_is_better: bool
    floor: float
    has_solution: bool
    groups: bool
    num_tasks: int | None
    max_live: int
    workers: list[str]
    tools: list[ToolInfo]
    identity: dict[str, str]


class TaskPage(TypedDict):
    """Rows `offset` and on; `next` is the offset of the next page, null on the last."""

    tasks: list[JSONObject]
    total: int
    next: int | None


class Opened(TypedDict):
    """A live episode. `url` is the agent plane over HTTP, else null. `expires_in` and `call_timeout`: seconds."""

    episode: str
    url: str | None
    prompt: list[Item]
    params: JSONObject
    multi_turn: bool
    tools_digest: str
    expires_in: float
    call_timeout: float


class ToolList(TypedDict):
    """The tools of one episode."""

    tools: list[ToolInfo]
    tools_digest: str


class ImageInfo(TypedDict):
    """An image: its bytes in base64."""

    data: str
    media_type: str


class Called(TypedDict):
    """The result of a relayed tool call. After `ended` the episode takes no more."""

    text: str
    is_error: bool
    images: list[ImageInfo]
    ended: bool


class Replied(TypedDict):
    """The user's next message; null ends the conversation."""

    message: str | None


class Entry(TypedDict):
    """One line of the ledger; `start` and `end` are seconds since the episode was opened."""

    seq: int
    name: str
    arguments: JSONObject
    result: str
    error: str | None
    start: float
    end: float
    images: NotRequired[list[str]]
    detail: NotRequired[str]
    caller: NotRequired[str]


class Verified(TypedDict):
    """The verdict, the ledger that it rests on, the answer that was read if the verifier looks for one, and what a
    judge model used for it, if one was asked."""

    reward: float
    components: dict[str, float]
    notes: str
    ledger: list[Entry]
    answer: NotRequired[str]
    judge_usage: NotRequired[JSONObject]


class Member(TypedDict):
    """A rollout of a group: the repeat it was, what the agent produced, and what `verify_episode` said of it."""

    repeat: int
    items: list[Item]
    stop: NotRequired[str]
    reward: NotRequired[float]
    components: NotRequired[dict[str, float]]
    notes: NotRequired[str]
    answer: NotRequired[str]
    ledger: NotRequired[list[JSONObject]]


class Scored(TypedDict):
    """The reward of one rollout of a group."""

    reward: float
    components: dict[str, float]
    notes: str
    answer: NotRequired[str]


class GroupVerified(TypedDict):
    """The rewards of a group's rollouts, in the order in which they were given."""

    rewards: list[Scored]
    judge_usage: NotRequired[JSONObject]


class Ledger(TypedDict):
    """The ledger so far."""

    ledger: list[Entry]


class State(TypedDict):
    """What the environment shows the operator of its state."""

    state: JSONObject


class CallInfo(TypedDict):
    """A tool call to make."""

    name: str
    arguments: JSONObject


class SolutionStep(TypedDict):
    """One step of the reference solution."""

    calls: list[CallInfo]
    say: str | None
    done: bool


class Closed(TypedDict):
    """The handle is of no use any more."""

    closed: bool


_KINDS: Final[dict[str, type[RolloutError]]] = {
    "gone": EpisodeGone,
    "environment": EnvironmentFailure,
    "verifier": VerifierError,
    "judge": JudgeError,
    "harness": HarnessError,
    "timeout": RolloutTimeout,
    "cancelled": RolloutCancelled,
}
_FINER: Final[dict[str, type[RolloutError]]] = {"gone": EpisodeGone, "busy": EnvironmentBusy}
"""Kinds that only clients of the operator plane tell apart; a rollout's failure is `environment`."""


def failure(error: Exception) -> JSONObject:
    """`error` as it travels: its kind, its message and whether a fresh episode may help."""
    if isinstance(error, RolloutError):
        kinds = (k for k, cls in _FINER.items() if isinstance(error, cls))
        out: JSONObject = {
            "kind": next(kinds, error.kind),
            "message": str(error),
            "retryable": error.retryable,
        }
        if isinstance(error, EnvironmentBusy):
            out["retry_after"] = error.retry_after
        if error.detail:
            out["detail"] = error.detail
        return out
    if isinstance(error, GymError):
        return {"kind": "usage", "message": str(error), "retryable": False}
    return {"kind": "environment", "message": f"the server failed ({type(error).__name__})", "retryable": True}


def raise_failure(error: Mapping[str, Any]) -> NoReturn:
    """Raise the error that `failure` described; an unknown kind is the environment's."""
    message = str(error.get("message", "the environment reported an error without a message"))
    kind = error.get("kind")
    if kind == "usage":
        raise UsageError(message)
    if kind == "busy":
        after = error.get("retry_after")
        raise EnvironmentBusy(message, retry_after=float(after) if isinstance(after, int | float) else 1.0)
    raised = _KINDS.get(str(kind), EnvironmentFailure)
    raise raised(message, retryable=error.get("retryable") is True, detail=str(error.get("detail", "")))
