"""When a failed model call is tried again, and after how long: exponential backoff with full jitter.

Full jitter: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gym_mcp.errors import ModelError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Retry `i` (from 0) waits a uniform draw from [0, min(cap, base * 2**i)] seconds.

    A server's Retry-After is a lower bound of the wait; one above `longest_wait` seconds is refused at once.
    `sleep` and `draw` (a number in [0, 1)) are there for tests.
    """

    max_retries: int = 5
    base: float = 0.5
    cap: float = 30.0
    longest_wait: float = 120.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    draw: Callable[[], float] = random.random

    def delay(self, retry: int, error: ModelError) -> float:
        """Seconds to wait before retry `retry`; raises `error`, or what became of it, when there is none."""
        if not error.retryable:
            raise error
        asked = error.retry_after or 0.0
        if asked > self.longest_wait:
            raise _final(
                error,
                f"it asks to wait {asked:.0f} s, and {self.longest_wait:.0f} s is the most that we wait",
                False,
            )
        if retry >= self.max_retries:
            raise error if retry == 0 else _final(error, f"{retry + 1} tries", True)
        jitter = self.draw() * min(self.cap, self.base * 2.0**retry)
        # Everyone who was told the same Retry-After would otherwise come back at the same instant.
        return asked + jitter if asked else jitter

    async def pause(self, retry: int, error: ModelError) -> None:
        """Wait before retry `retry`; raises when there is none."""
        await self.sleep(self.delay(retry, error))


def _final(error: ModelError, why: str, retryable: bool) -> ModelError:
    return ModelError(
        f"{error} ({why})",
        status=error.status,
        retry_after=error.retry_after,
        retryable=retryable,
        detail=error.detail,
    )
