"""When a call is tried again, and after how long. Nothing here really waits."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gym_mcp.errors import ModelError
from gym_mcp.models.retry import RetryPolicy


def failure(retry_after: float | None = None, *, retryable: bool = True) -> ModelError:
    return ModelError("it failed", status=429, retry_after=retry_after, retryable=retryable, detail="why")


@given(st.integers(0, 30), st.floats(0, 1, exclude_max=True))
def test_full_jitter_below_the_exponential_and_the_cap(retry: int, draw: float) -> None:
    policy = RetryPolicy(max_retries=31, base=0.5, cap=30.0, draw=lambda: draw)
    delay = policy.delay(retry, failure())
    assert delay == pytest.approx(draw * min(30.0, 0.5 * 2**retry))


@given(st.floats(0, 120), st.floats(0, 1, exclude_max=True))
def test_retry_after_is_a_lower_bound(asked: float, draw: float) -> None:
    delay = RetryPolicy(draw=lambda: draw).delay(0, failure(asked))
    assert asked <= delay <= asked + 0.5


def test_a_wait_beyond_the_bound_fails_at_once_and_says_why() -> None:
    with pytest.raises(ModelError, match=r"it failed \(it asks to wait 3600 s, and 120 s is the most") as caught:
        RetryPolicy().delay(0, failure(3600.0))
    assert not caught.value.retryable
    assert (caught.value.status, caught.value.retry_after, caught.value.detail) == (429, 3600.0, "why")


def test_the_last_failure_says_how_many_tries() -> None:
    with pytest.raises(ModelError, match=r"it failed \(6 tries\)") as caught:
        RetryPolicy(max_retries=5).delay(5, failure())
    assert caught.value.retryable


def test_what_is_not_retryable_is_raised_as_it_is() -> None:
    error = failure(1.0, retryable=False)
    with pytest.raises(ModelError) as caught:
        RetryPolicy().delay(0, error)
    assert caught.value is error


def test_no_retries() -> None:
    error = failure()
    with pytest.raises(ModelError) as caught:
        RetryPolicy(max_retries=0).delay(0, error)
    assert caught.value is error


def test_pause_sleeps_for_the_delay() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    policy = RetryPolicy(sleep=sleep, draw=lambda: 0.5)
    for retry in range(5):
        asyncio.run(policy.pause(retry, failure()))
    assert slept == [0.25, 0.5, 1.0, 2.0, 4.0]
