"""Runs what a run still lacks: a bounded number of rollouts at a time, each journalled the moment it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from gym_mcp.coordinator.events import (
    AttemptFailed,
    Draining,
    Event,
    Listener,
    RolloutFinished,
    RunFinished,
)
from gym_mcp.coordinator.journal import Journal, JournalError
from gym_mcp.coordinator.rollout import Arm, run_rollout
from gym_mcp.errors import RolloutError
from gym_mcp.metrics.tally import Tally
from gym_mcp.types import JSONObject, Task

Work = Iterator[tuple[int, Task[Any], int]]


class Coordinator:
    """One run in progress. `drain` lets what is in flight finish; `stop` gives it up (resume runs it again)."""

    def __init__(self, arm: Arm, journal: Journal, tally: Tally, concurrency: int) -> None:
        self.arm = arm
        self.journal = journal
        self.tally = tally
        self.concurrency = concurrency
        self.in_flight = 0
        self.broken: JournalError | None = None
        self._listeners: list[Listener] = []
        self._draining = False
        self._workers: list[asyncio.Task[None]] = []

    def listen(self, listener: Listener) -> None:
        """Have `listener` told of every event."""
        self._listeners.append(listener)

    def emit(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)

    @property
    def draining(self) -> bool:
        return self._draining

    def drain(self, reason: str) -> None:
        """Start nothing new."""
        if not self._draining:
            self._draining = True
            self.emit(Draining(self.in_flight, reason))

    def stop(self) -> None:
        """Give up what is in flight."""
        self._draining = True
        for worker in self._workers:
            worker.cancel()

    async def run(self, work: Work) -> bool:
        """Run `work`; whether every expected rollout is terminal now. `JournalError` when the disk gave out."""
        self.journal.start_syncing()
        count = min(self.concurrency, max(1, self.tally.expected - self.tally.done))
        self._workers = [asyncio.create_task(self._work(work)) for _ in range(count)]
        try:
            await asyncio.gather(*self._workers, return_exceptions=True)
            for worker in self._workers:
                if not worker.cancelled() and (error := worker.exception()) is not None:
                    raise error
        finally:
            self.stop()
            await asyncio.gather(*self._workers, return_exceptions=True)
            await self.journal.aclose()
        if self.broken is not None:
            raise self.broken
        complete = self.tally.done == self.tally.expected
        self.emit(RunFinished(complete))
        return complete

    async def _work(self, work: Work) -> None:
        while not self._draining:
            entry = next(work, None)
            if entry is None:
                return
            index, task, repeat = entry
            self.in_flight += 1
            try:
                self._record(await run_rollout(self.arm, task, index, repeat, self._on_retry))
            finally:
                self.in_flight -= 1
            # Embedded models never wait: without this, signals, syncing and spent timers would.
            await asyncio.sleep(0)

    def _record(self, row: JSONObject) -> None:
        if self.broken is not None:
            return
        try:
            self._append(row)
        except JournalError as e:
            self.broken = e
            self.stop()
            return
        self.tally.add(row)
        self.emit(RolloutFinished(row))

    def _append(self, row: JSONObject) -> None:
        try:
            self.journal.append(row)
        except (ValueError, RecursionError) as e:
            message = f"harness {row['harness']} returned items that JSON cannot hold: {e}"
            row.update(outcome="failed", failure={"kind": "harness", "message": message}, reward=None)
            row.update(components={}, response={"output": [], "stop": row["response"]["stop"]})
            self.journal.append(row)

    def _on_retry(self, task: Task[Any], repeat: int, error: RolloutError, wait: float) -> None:
        self.emit(AttemptFailed(task.id, repeat, error.kind, str(error), wait))


def remaining(
    rows: Callable[[], Iterator[JSONObject]],
    parse: Callable[[JSONObject], Task[Any]],
    repeats: int,
    done: bytearray,
) -> Work:
    """(task index, task, repeat) that `done` (one byte a rollout, task-major) does not mark.

    All tasks once, then all again: an unfinished run has seen as many tasks as it could.
    """
    for repeat in range(repeats):
        for index, row in enumerate(rows()):
            if not done[index * repeats + repeat]:
                yield index, parse(row), repeat
