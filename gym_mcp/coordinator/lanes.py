"""Several runs side by side, in step: what the hour does to the endpoint, it does to all of them alike."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from gym_mcp.coordinator.coordinator import Coordinator
from gym_mcp.seeds import episode_seed


class Lanes:
    """At most `slots` rollouts of all lanes at a time. Next comes the lane that has begun fewest; among equals the
    order is drawn anew for each round, so that no arm always goes first.

    Nothing begins before all lanes have joined.
    """

    def __init__(self, names: Sequence[str], slots: int, seed: int) -> None:
        self.lanes = [Lane(self, name) for name in names]
        self.slots = slots
        self.running = 0
        self.closed = False
        self._seed = seed

    def close(self) -> None:
        """Begin nothing more: all who wait are sent away."""
        self.closed = True
        for lane in self.lanes:
            lane.dismiss()

    def advance(self) -> None:
        """Let in as many as there is room for."""
        if not all(lane.joined for lane in self.lanes):
            return
        while self.running < self.slots and (coming := [lane for lane in self.lanes if lane.comes]):
            first = min(coming, key=self._rank)
            if not first.waiting:  # its turn, and it is on its way
                return
            first.admit()

    def _rank(self, lane: Lane) -> tuple[int, int]:
        return lane.begun, episode_seed(self._seed, lane.name, lane.begun)


class Lane:
    """One run's place. `begun` counts the rollouts that were begun, in earlier sittings too."""

    def __init__(self, lanes: Lanes, name: str) -> None:
        self.name = name
        self.begun = self.expected = 0
        self.joined = False
        self.waiting: deque[asyncio.Future[bool]] = deque()
        self._lanes = lanes
        self._workers = self._inside = 0

    @property
    def comes(self) -> bool:
        """Whether one of its rollouts waits, or will in a moment: a worker is free and there is work left."""
        return bool(self.waiting) or (self.begun < self.expected and self._inside < self._workers)

    def join(self, coordinator: Coordinator) -> None:
        """Take the lane for a run that is about to start."""
        self.begun, self.expected, self.joined = coordinator.tally.done, coordinator.tally.expected, True
        self._workers = min(coordinator.concurrency, self.expected - self.begun)
        self._lanes.slots = min(self._lanes.slots, coordinator.concurrency)
        coordinator.lane = self
        self._lanes.advance()

    async def enter(self) -> bool:
        """Wait until a rollout may begin; False when none may any more."""
        if self._lanes.closed:
            return False
        admission: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.waiting.append(admission)
        self._lanes.advance()
        try:
            return await admission
        except asyncio.CancelledError:
            if admission.done() and not admission.cancelled() and admission.result():
                self.leave()
            raise

    def leave(self) -> None:
        """A rollout has ended."""
        self._inside -= 1
        self._lanes.running -= 1
        self._lanes.advance()

    def admit(self) -> None:
        """Let in the first who still waits, if any."""
        while self.waiting:
            admission = self.waiting.popleft()
            if not admission.done():
                self.begun += 1
                self._inside += 1
                self._lanes.running += 1
                admission.set_result(True)
                return

    def dismiss(self) -> None:
        """Send away all who wait."""
        while self.waiting:
            admission = self.waiting.popleft()
            if not admission.done():
                admission.set_result(False)
