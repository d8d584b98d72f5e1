"""How many calls one endpoint gets at a time: additive increase, multiplicative decrease; latency (`knee.py`).

The shape is TCP's congestion control (Jacobson, 1988; RFC 5681): slow start, a cut on congestion, slow recovery.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from gym_mcp.models.knee import Knee
from gym_mcp.observe import current

INITIAL: Final = 32
CUT: Final = 0.7
COOLDOWN: Final = 2.0
"""Seconds after a cut in which further refusals count as the same burst."""
RECOVERY: Final = 0.02
"""Part of `maximum` that the limit gains over one full round of successful calls."""
RECENT: Final = 256
"""Calls over which refusals without a word are counted; a round of `limit` calls where that is more."""
TOO_MANY: Final = 0.05
"""Part of the recent calls above which such refusals are load. Below, they are chance, and a cut for each would
hold thousands of live episodes down to some hundreds."""
_ASSUMED: Final = 18
"""Successes that are taken to have come before the first call: a refusal is then enough for a cut, later not."""


class Line(Protocol):
    """Those who wait, in the order in which it is their turn."""

    def __len__(self) -> int: ...

    def popleft(self) -> asyncio.Future[None]: ...


class AdaptiveLimiter:
    """At most `limit` calls at a time, first come first served; `limit` moves between 1 and `maximum`.

    It starts at `min(maximum, 32)` and grows by one a success. The first congestion ends that: the limit is cut
    to 70 %, and from then on gains 2 % of `maximum` over a round of `limit` successes. Congestion is what the
    endpoint says in so many words, or more than 5 % of the recent calls refused without a word.
    """

    def __init__(self, maximum: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.maximum = maximum
        self.in_flight = 0
        self.waiting = 0
        self._limit = float(min(maximum, INITIAL))
        self._slow_start = True
        self._own: deque[asyncio.Future[None]] = deque()
        self._waiters: Line = self._own
        self._clock = clock
        self._cut_at = float("-inf")
        self.knee = Knee(maximum, clock)
        self._unheld: float | None = None
        self._calls = _ASSUMED
        self._refused = 0.0

    @property
    def limit(self) -> int:
        """Calls allowed at a time."""
        return int(self._limit)

    def bound(self, maximum: int) -> None:
        """Allow at most `maximum` calls from now on. More of them come as they did before: a step a success."""
        self.maximum = maximum
        self.knee.bound(maximum)
        self._limit = min(self._limit, float(maximum))
        if self._unheld is not None:
            self._unheld = min(self._unheld, float(maximum))

    def share(self, processes: int) -> None:
        """Start with a part of the limit: that many processes, each with a limiter, call the same endpoint."""
        self._limit = max(self._limit / processes, 1.0)

    def wait_in(self, line: Line) -> None:
        """Have calls wait in `line`, which is not ours to fill (`models/lanes.py`)."""
        self._waiters = line

    async def acquire(self) -> None:
        """Take a slot, waiting for it in line."""
        if self.in_flight < int(self._limit):  # then nobody waits: whatever makes room wakes the line
            self.in_flight += 1
            return
        await self.wait(self._own, self.release)

    async def wait(self, line: deque[asyncio.Future[None]], release: Callable[[], None]) -> None:
        """Wait for a slot at the end of `line`; `release` gives back one that comes too late."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(waiter)
        self.waiting += 1
        activity = current.activity.get()
        if activity is not None:
            activity.hold()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self.waiting -= 1
            else:  # cancelled after the slot was handed over
                release()
            raise
        finally:
            if activity is not None:
                activity.go_on()

    def release(self) -> None:
        """Give a slot back."""
        self.in_flight -= 1
        if self._waiters:
            self._wake()

    def succeeded(self, seconds: float = 0.0) -> None:
        """The endpoint answered after `seconds`: it can take a little more, unless calls only queue there."""
        self._count(0.0)
        if self.knee.answered(seconds):
            self._heed(self.knee.limit)
        elif self._limit < self.maximum and self.knee.limit is None:
            step = 1.0 if self._slow_start else max(RECOVERY * self.maximum, 1.0) / self._limit
            self._limit = min(self._limit + step, float(self.maximum))
            if self._waiters:
                self._wake()

    def _heed(self, limit: int | None) -> None:
        """Do as latency says, or as before when it has nothing to say any more."""
        if self._unheld is None:
            self._unheld = self._limit
        self._limit = self._unheld if limit is None else float(min(limit, self.maximum))
        if limit is None:
            self._unheld = None
        if self._waiters:
            self._wake()

    def congested(self) -> None:
        """The endpoint asked for less."""
        self._refused = 0.0
        now = self._clock()
        if now - self._cut_at >= COOLDOWN:
            self._cut_at = now
            self.knee.give_up()
            self._unheld = None
            self._slow_start = False
            self._limit = max(self._limit * CUT, 1.0)

    def refused(self) -> None:
        """The endpoint refused or timed out without a word: congestion if many calls fare so."""
        self._count(1.0)
        if self._refused > TOO_MANY:
            self.congested()

    def _count(self, refused: float) -> None:
        """Move the share of refused calls, a moving average."""
        self._calls = min(self._calls + 1, max(RECENT, int(self._limit)))
        self._refused += (refused - self._refused) / self._calls

    def _wake(self) -> None:
        while self._waiters and self.in_flight < int(self._limit):
            waiter = self._waiters.popleft()
            if not waiter.done():
                self.waiting -= 1
                self.in_flight += 1
                waiter.set_result(None)
