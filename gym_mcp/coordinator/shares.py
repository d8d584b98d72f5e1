"""One number of slots for several runs: a slot that gets free goes to the run that has the fewest for its weight.

That is weighted max-min fairness (Bertsekas and Gallager, "Data Networks", 1992, section 6.5.2): who cannot use
its part lends it. A rollout is never interrupted, so what was lent comes back as those rollouts end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeAlias

from gym_mcp.coordinator.ramp import ramp
from gym_mcp.seeds import episode_seed

Job: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Slots:
    """`total` rollouts at a time, all runs together. `memory_mib` bounds what those of known size may take.

    `in_step`, a seed: the runs are arms of one experiment. Then the next slot goes to the one that has begun
    fewest rollouts, among equals in an order that is drawn anew for each round: no arm always goes first.
    """

    def __init__(self, total: int, memory_mib: int | None = None, *, in_step: int | None = None) -> None:
        self.total = total
        self.memory_mib = memory_mib
        self._in_step = in_step
        self.shares: list[Share] = []
        self._open = 0
        self._turns = 0

    @property
    def in_flight(self) -> int:
        return sum(share.in_flight for share in self.shares)

    def join(self, maximum: int, *, weight: float = 1.0, each_mib: int = 0) -> Share:
        """A part for one more run, which never needs more than `maximum` slots, each of `each_mib` of memory."""
        share = Share(self, maximum, weight, each_mib)
        self.shares.append(share)
        return share

    async def open(self) -> None:
        """Let rollouts start, a few at a time, once every run is there: the first would take the slots of all."""
        for share in self.shares:
            await share.arrived.wait()
        async for _ in ramp(self.total):
            self._open = min(self._open + 1, self.total)
            self.hand_out()

    def resize_for_one(self, total: int) -> None:
        """Have `total` slots, where one run has them all."""
        if len(self.shares) == 1:
            self._open = total if self._open >= self.total else min(self._open, total)
            self.total = total

    def hand_out(self) -> None:
        """Give free slots to those who want them."""
        free = self._open - self.in_flight
        while free > 0:
            wanting = [share for share in self.shares if share.wants() and self._fits(share)]
            if not wanting:
                return
            self._turns += 1
            free -= min(wanting, key=self._rank).begin(self._turns)

    def _rank(self, share: Share) -> tuple[float, int]:
        """The lower, the sooner it is a run's turn."""
        if self._in_step is None:
            return share.standing()
        return share.begun, episode_seed(self._in_step, str(self.shares.index(share)), share.begun)

    def _fits(self, share: Share) -> bool:
        """Whether another rollout fits into memory; a run's first always does."""
        if self.memory_mib is None or not share.each_mib or not share.in_flight:
            return True
        taken = sum(other.in_flight * other.each_mib for other in self.shares)
        return taken + share.each_mib <= self.memory_mib


class Share:
    """One run's part of the slots."""

    def __init__(self, slots: Slots, maximum: int, weight: float, each_mib: int) -> None:
        self.maximum = maximum
        self.weight = weight
        self.each_mib = each_mib
        self.pauses: set[str] = set()
        """Why nothing of this run starts now; empty: it may."""
        self.in_flight = 0
        self.served = 0
        self.begun = 0
        """Rollouts, those of earlier sittings included."""
        self.arrived = asyncio.Event()
        self._slots = slots
        self._jobs: Iterator[Job] = iter(())
        self._exhausted = True
        self._draining: Callable[[], bool] = lambda: True
        self._running: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None
        self._over = asyncio.Event()

    async def run(self, jobs: Iterator[Job], draining: Callable[[], bool]) -> None:
        """Run `jobs` as slots are given for them, until none is left or `draining`; the first error of one."""
        self._jobs, self._draining, self._exhausted = jobs, draining, False
        self.arrived.set()
        self.look()
        try:
            await self._over.wait()
        finally:
            self.leave()
            self.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """The run has ended, or never started: nobody waits for it."""
        self._exhausted = True
        self.arrived.set()
        self._slots.hand_out()

    def wants(self) -> bool:
        return (
            not (self._exhausted or self.pauses)
            and self.in_flight < self.maximum
            and self.arrived.is_set()
            and not self._draining()
        )

    def standing(self) -> tuple[float, int]:
        """The lower, the sooner it is this run's turn."""
        return (self.in_flight + 1) / self.weight, self.served

    def begin(self, turn: int) -> bool:
        """Start the next job; whether there was one."""
        try:
            job = next(self._jobs, None)
        except Exception as e:  # of this run alone, whoever's end gave it the slot
            job, self._error = None, self._error or e
        if job is None:
            self._exhausted = True
            self._perhaps_over()
            return False
        self.in_flight += 1
        self.begun += 1
        self.served = turn
        task = asyncio.get_running_loop().create_task(job())
        self._running.add(task)
        task.add_done_callback(self._ended)
        return True

    def pause(self, pause: bool, why: str = "memory") -> None:
        """Start nothing more, or go on when no other reason is left. What runs goes on; its slots go to others."""
        (self.pauses.add if pause else self.pauses.discard)(why)
        self.look()

    def allow(self, maximum: int) -> None:
        """Never need more than `maximum` slots from now on; what runs above that runs to its end."""
        self.maximum = maximum
        self.look()

    def bound(self, maximum: int) -> None:
        """Use at most so many slots from now on. A run that has all slots to itself gets as many."""
        self.maximum = maximum
        self._slots.resize_for_one(maximum)
        self.look()

    def let_one(self) -> None:
        """Start one rollout where none runs, however little memory there is."""
        if not (self.in_flight or self._exhausted or self._draining()) and self.pauses <= {"memory"}:
            self.begin(self.served)

    def look(self) -> None:
        """Something has changed: start what may start, and end when nothing is left."""
        self._slots.hand_out()
        self._perhaps_over()

    def cancel(self) -> None:
        """Give up what is in flight."""
        for task in self._running:
            task.cancel()
        self._perhaps_over()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.in_flight -= 1
        if not task.cancelled():
            self._error = self._error or task.exception()
        self.look()

    def _perhaps_over(self) -> None:
        if self.arrived.is_set() and not self.in_flight and (self._exhausted or self._draining()):
            self._over.set()
