"""Several runs at one endpoint: one limit for all of them, and a line for each.

A call that ends makes room for the run with the fewest calls in flight for its weight, the one that has waited
longest where that is the same. So a thousand waiting calls of one run do not keep another's single one waiting,
and a run of long answers holds its part of the limit, not all of it.
"""

from __future__ import annotations

import asyncio
from collections import deque

from gym_mcp.models.limiter import AdaptiveLimiter


class Lanes:
    """The lines at a limiter, in the place of its own one."""

    def __init__(self, limiter: AdaptiveLimiter) -> None:
        self.limiter = limiter
        self._lanes: list[Lane] = []
        self._turns = 0
        limiter.wait_in(self)

    def lane(self, weight: float = 1.0) -> Lane:
        """A line for one more run."""
        lane = Lane(self.limiter, weight)
        self._lanes.append(lane)
        return lane

    def __len__(self) -> int:
        return sum(len(lane.line) for lane in self._lanes)

    def popleft(self) -> asyncio.Future[None]:
        """Whose turn it is."""
        lane = min((lane for lane in self._lanes if lane.line), key=Lane.standing)
        waiter = lane.line.popleft()
        if not waiter.done():
            self._turns += 1
            lane.served = self._turns
            lane.in_flight += 1
        return waiter


class Lane:
    """One run's way to a limiter; what a model calls of `AdaptiveLimiter` is here, too."""

    def __init__(self, limiter: AdaptiveLimiter, weight: float) -> None:
        self.limiter = limiter
        self.weight = weight
        self.in_flight = 0
        self.served = 0
        self.line: deque[asyncio.Future[None]] = deque()
        self.succeeded = limiter.succeeded
        self.congested = limiter.congested
        self.refused = limiter.refused
        self.bound = limiter.bound

    def standing(self) -> tuple[float, int]:
        """The lower, the sooner it is this line's turn."""
        return (self.in_flight + 1) / self.weight, self.served

    @property
    def maximum(self) -> int:
        return self.limiter.maximum

    @property
    def limit(self) -> int:
        return self.limiter.limit

    @property
    def waiting(self) -> int:
        return sum(not waiter.done() for waiter in self.line)

    async def acquire(self) -> None:
        """Take a slot, waiting for this run's turn."""
        limiter = self.limiter
        if limiter.in_flight < limiter.limit:
            limiter.in_flight += 1
            self.in_flight += 1
        else:
            await limiter.wait(self.line, self.release)

    def release(self) -> None:
        """Give a slot back."""
        self.in_flight -= 1
        self.limiter.release()
