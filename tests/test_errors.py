"""Each error says whose fault it was."""

from __future__ import annotations

from typing import get_args

import pytest

from gym_mcp import errors
from gym_mcp.errors import EnvironmentBusy, FailureKind, ModelError, RolloutError, ToolError, UsageError


def subclasses(cls: type[RolloutError]) -> set[type[RolloutError]]:
    return {cls}.union(*(subclasses(c) for c in cls.__subclasses__()))


OURS = sorted((c for c in subclasses(RolloutError) if c.__module__ == errors.__name__), key=str)


def test_every_kind_has_an_owner_and_every_owner_a_kind() -> None:
    assert {c.kind for c in OURS} == set(get_args(FailureKind))


@pytest.mark.parametrize("cls", OURS)
def test_rollout_errors_carry_message_detail_and_retryability(cls: type[RolloutError]) -> None:
    plain, full = cls("it broke"), cls("it broke", retryable=True, detail="a traceback")
    assert str(plain) == str(full) == "it broke"
    assert (plain.retryable, plain.detail) == (cls is EnvironmentBusy, "")
    assert (full.retryable, full.detail) == (True, "a traceback")


def test_a_model_error_tells_the_answer_of_the_endpoint() -> None:
    error = ModelError("busy", status=429, retry_after=2.5, retryable=True)
    assert (error.status, error.retry_after, error.retryable, error.kind) == (429, 2.5, True, "model")


def test_mistakes_and_what_the_model_reads_are_no_failures_of_a_rollout() -> None:
    assert not issubclass(UsageError, RolloutError)
    assert not issubclass(ToolError, RolloutError)
