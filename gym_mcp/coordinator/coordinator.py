"""Runs what a run still lacks: a bounded number of rollouts at a time, each journalled the moment it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gym_mcp.coordinator.events import (
    AttemptFailed,
    Draining,
    EnvironmentFull,
    Event,
    Listener,
    RolloutFinished,
    RunFinished,
)
from gym_mcp.coordinator.groups import Groups
from gym_mcp.coordinator.journal import Journal, JournalError
from gym_mcp.coordinator.ramp import ramp
from gym_mcp.coordinator.rollout import Arm, run_rollout
from gym_mcp.coordinator.shares import Job, Share
from gym_mcp.errors import RolloutError
from gym_mcp.lag import LagProbe, Lags
from gym_mcp.metrics.tally import Tally
from gym_mcp.observe.status import Lost, process_report
from gym_mcp.types import JSONObject, Task

Work = Iterator[tuple[int, Task[Any], int]]
Ended = Iterator[tuple[int, Task[Any]]]


class Coordinator:
    """One run in progress. `drain` lets what is in flight finish; `stop` gives it up (resume runs it again)."""

    def __init__(
        self,
        arm: Arm,
        journal: Journal,
        tally: Tally,
        concurrency: int,
        groups: Groups | None = None,
        share: Share | None = None,
    ) -> None:
        self.arm = arm
        self.journal = journal
        self.tally = tally
        self.concurrency = concurrency
        self.groups = groups
        self.share = share
        self.in_flight = 0
        self.lags = Lags()
        self.lost_spans = Lost()
        self.broken: JournalError | None = None
        self._listeners: list[Listener] = []
        self.paused = False
        self._draining = self._exhausted = False
        self._workers: list[asyncio.Task[None]] = []
        self._jobs_left: Iterator[Job] = iter(())
        self._manned = 0
        self._surplus = 0
        """Workers that are to end with the rollout that they run."""
        self._resumed = asyncio.Event()
        arm.admission.on_full = lambda message: self.emit(EnvironmentFull(message))

    @property
    def waiting(self) -> int:
        """How many of those in flight wait for room in the environment."""
        return self.arm.admission.waiting

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
            self.unpause()
            self.emit(Draining(self.in_flight, reason))
            if self.share is not None:
                self.share.look()

    def pause(self) -> None:
        """Start nothing new until `unpause`. What is in flight runs to its end, under its limits."""
        self.paused = True
        self._resumed.clear()
        if self.share is not None:
            self.share.pause(True, "control")

    def unpause(self) -> None:
        self.paused = False
        self._resumed.set()
        if self.share is not None:
            self.share.pause(False, "control")

    def set_concurrency(self, count: int) -> None:
        """Run `count` rollouts at a time from now on. If that is fewer, those in flight run to their end."""
        self.concurrency = count
        if self.share is not None:
            self.share.bound(count)
        if not self._manned:  # it has not begun yet
            return
        wanted = min(count, max(1, self.tally.expected - self.tally.done))
        more, self._manned = wanted - self._manned, wanted
        kept = min(self._surplus, more)
        self._surplus -= kept
        if more > kept and not self._exhausted:
            self._workers.append(asyncio.create_task(self._man(more - kept)))

    def set_model_limit(self, maximum: int) -> None:
        """Make at most `maximum` calls to the model's endpoint at a time from now on."""
        limiter = getattr(self.arm.model, "limiter", None)
        if limiter is not None:
            limiter.bound(maximum)

    @property
    def workers(self) -> int:
        """Worker processes; 0 where the run's own process does the work."""
        return 0

    @property
    def model_calls(self) -> int:
        """Model calls that have begun, so far."""
        return self.arm.stages.model_calls

    def tell_processes(self, message: JSONObject) -> None:
        """What worker processes have to know from their start; there are none here."""

    def reports(self) -> list[JSONObject]:
        """What each process does now (`gym_mcp.observe.status.process_report`)."""
        return [process_report(self.arm)]

    def stop(self) -> None:
        """Give up what is in flight."""
        self._draining = True
        self.unpause()
        for worker in self._workers:
            worker.cancel()
        if self.share is not None:
            self.share.cancel()

    async def run(self, work: Work, ended: Ended | None = None) -> bool:
        """Run `work`, after scoring the groups that have `ended` (task index, task); whether all is terminal now.

        `JournalError` when the disk gave out.
        """
        self.journal.start_syncing()
        probe = LagProbe(self.lags)
        jobs = self._jobs(work, ended or iter(()))
        try:
            if self.share is not None:
                await self.share.run(jobs, lambda: self._draining)
            else:
                await self._run_all(jobs)
        finally:
            probe.stop()
            self.stop()
            await asyncio.gather(*self._workers, return_exceptions=True)
            await self.journal.aclose()
            if self.groups is not None:
                self.groups.close()
        if self.broken is not None:
            raise self.broken
        complete = self.tally.done == self.tally.expected
        self.emit(RunFinished(complete))
        return complete

    async def _run_all(self, jobs: Iterator[Job]) -> None:
        """Run `jobs`, `concurrency` at a time."""
        self._workers, self._jobs_left = [], jobs
        self._manned = min(self.concurrency, max(1, self.tally.expected - self.tally.done))
        await self._man(self._manned)
        while waiting := [worker for worker in self._workers if not worker.done()]:
            await asyncio.wait(waiting)
        for worker in self._workers:
            if not worker.cancelled() and (error := worker.exception()) is not None:
                raise error

    async def _man(self, count: int) -> None:
        """Put so many more to work."""
        async for _ in ramp(count):
            self._workers.append(asyncio.create_task(self._work()))
            if self._draining or self._exhausted:
                break

    async def _work(self) -> None:
        while not self._draining:
            if self._surplus:
                self._surplus -= 1
                return
            if self.paused:
                await self._resumed.wait()
                continue
            job = next(self._jobs_left, None)
            if job is None:
                self._exhausted = True
                return
            await job()
            # Embedded models never wait: without this, signals, syncing and spent timers would.
            await asyncio.sleep(0)

    def _jobs(self, work: Work, ended: Ended) -> Iterator[Job]:
        for index, task in ended:
            yield partial(self._score_group, task, index)
        for index, task, repeat in work:
            yield partial(self._run_one, index, task, repeat)

    async def _run_one(self, index: int, task: Task[Any], repeat: int) -> None:
        self.in_flight += 1
        try:
            row = await run_rollout(self.arm, task, index, repeat, self._on_retry)
            if self.groups is None:
                self._record(row)
            elif self._keep(row):
                await self._score_group(task, index)
        finally:
            self.in_flight -= 1

    def _record(self, *rows: JSONObject) -> None:
        """Journal terminal rows together, count them and tell of them."""
        if self._written(self.journal.append, *rows):
            for row in rows:
                self.tally.add(row)
                self.emit(RolloutFinished(row))

    def _keep(self, row: JSONObject) -> bool:
        """Journal a row that waits for its group; whether the group is complete."""
        return self.groups is not None and bool(self._written(self.groups.add, row))

    async def _score_group(self, task: Task[Any], index: int) -> None:
        if self.groups is not None:
            self._record(*await self.groups.score(task, index))

    def _written(self, write: Callable[..., Any], *rows: JSONObject) -> Any:
        """What `write(*rows)` gave, None counting as true; false once the disk gave out."""
        if self.broken is not None:
            return False
        try:
            done = write(*rows)
        except JournalError as e:
            self.broken = e
            self.stop()
            return False
        except (ValueError, RecursionError) as e:
            for row in rows:
                message = f"harness {row['harness']} returned items that JSON cannot hold: {e}"
                row.update(outcome="failed", failure={"kind": "harness", "message": message}, reward=None)
                row.update(components={}, response={"output": [], "stop": row["response"]["stop"]})
            done = write(*rows)
        return True if done is None else done

    def _on_retry(self, task: Task[Any], repeat: int, error: RolloutError, wait: float) -> None:
        self.emit(AttemptFailed(task.id, repeat, error.kind, str(error), wait))


def remaining(
    rows: Callable[[], Iterator[JSONObject]],
    parse: Callable[[JSONObject], Task[Any]],
    repeats: int,
    done: bytearray,
    *,
    task_by_task: bool = False,
) -> Work:
    """(task index, task, repeat) that `done` (one byte a rollout, task-major) does not mark.

    All tasks once, then all again: an unfinished run has seen as many tasks as it could. `task_by_task`, groups
    that are scored together end early instead.
    """
    if task_by_task:
        for index, row in enumerate(rows()):
            for repeat in range(repeats):
                if not done[index * repeats + repeat]:
                    yield index, parse(row), repeat
        return
    for repeat in range(repeats):
        for index, row in enumerate(rows()):
            if not done[index * repeats + repeat]:
                yield index, parse(row), repeat
