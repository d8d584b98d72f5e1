"""Errors by owner: whose fault it was decides what a rollout's failure is called and whether it is tried again."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import ClassVar, Literal

FailureKind = Literal["model", "harness", "environment", "verifier", "judge", "timeout", "cancelled"]


def one_line(error: BaseException) -> str:
    """Type and message of an exception, on one line of bounded length."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


class GymError(Exception):
    """Base of every error that gym-mcp raises on purpose."""


class UsageError(GymError):
    """A user's mistake: one line that says what, where and how to mend it. Never a traceback."""


class ToolError(Exception):
    """Raised by a tool: its text is what the model reads. Not a failure of the rollout."""


class RolloutError(GymError):
    """A rollout could not be finished.

    `retryable` says whether a fresh attempt (from `open_episode`) may help; `detail` is for the operator only.
    """

    kind: ClassVar[FailureKind] = "harness"

    def __init__(self, message: str, *, retryable: bool = False, detail: str = "") -> None:
        super().__init__(message)
        self.retryable = retryable
        self.detail = detail


class HarnessError(RolloutError):
    """The harness crashed or ended in a way that says nothing about the model."""


def internal(error: Exception) -> HarnessError:
    """What an error that is nobody else's makes of a rollout. Called where it is handled."""
    text = f"internal error: {type(error).__name__}: {error}"
    return HarnessError(text, detail="".join(traceback.format_exception(error)))


class EnvironmentFailure(RolloutError):
    """The environment crashed, hung, or lost the episode."""

    kind = "environment"


class EpisodeGone(EnvironmentFailure):
    """No such episode: never opened, closed, expired or already collected."""


class EnvironmentBusy(EnvironmentFailure):
    """The environment holds all the episodes, or makes all the calls, that it can at a time.

    Nothing was done: the same request may be made again after `retry_after` seconds. No attempt is spent on it.
    """

    def __init__(
        self, message: str, *, retry_after: float = 1.0, retryable: bool = True, detail: str = ""
    ) -> None:
        super().__init__(message, retryable=retryable, detail=detail)
        self.retry_after = retry_after


class VerifierError(RolloutError):
    """`verify` raised, hung or returned something that is no score."""

    kind = "verifier"


class JudgeError(RolloutError):
    """A judge model that a verifier needs could not be reached."""

    kind = "judge"


class RolloutTimeout(RolloutError):
    """The rollout passed its own deadline (`--max-seconds`)."""

    kind = "timeout"


class RolloutCancelled(RolloutError):
    """Someone cancelled this rollout; it is not run again on resume."""

    kind = "cancelled"


class ModelError(RolloutError):
    """The model endpoint failed after its retries.

    `status` is the HTTP status (None when there was no answer), `retry_after` in seconds.
    """

    kind = "model"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        retryable: bool = False,
        detail: str = "",
    ) -> None:
        super().__init__(message, retryable=retryable, detail=detail)
        self.status = status
        self.retry_after = retry_after


class PromptTooLong(ModelError):
    """The conversation does not fit into the model's context window."""


class LimitReached(GymError):
    """A budget of the rollout (turns, tokens, cost) is spent. The harness ends; the episode is still scored."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, the members of a group, and what each was raised from."""
    seen: set[int] = set()
    queue: list[BaseException] = [error]
    while queue:
        found = queue.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        if isinstance(found, BaseExceptionGroup):
            queue += found.exceptions
        cause = found.__cause__ or found.__context__
        if cause is not None:
            queue.append(cause)
