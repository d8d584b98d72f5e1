"""The worker process: it has an environment, a model and a harness of its own, and journals what it ran itself."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from gym_mcp import hub
from gym_mcp.coordinator.config import RunConfig
from gym_mcp.coordinator.connect import Parts, connect
from gym_mcp.coordinator.coordinator import Coordinator
from gym_mcp.coordinator.events import AttemptFailed, EnvironmentFull, Event, MemoryShort
from gym_mcp.coordinator.groups import Groups
from gym_mcp.coordinator.guard import guarded
from gym_mcp.coordinator.journal import DiskError
from gym_mcp.coordinator.ramp import ramp
from gym_mcp.coordinator.rollout import Arm, run_rollout
from gym_mcp.coordinator.run import make_arm
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.crew.channel import Channel
from gym_mcp.crew.orders import compact
from gym_mcp.crew.process import live_and_die_with
from gym_mcp.crew.room import Room
from gym_mcp.crew.shared_journal import SharedJournal
from gym_mcp.datasets import parse_task
from gym_mcp.errors import UsageError
from gym_mcp.fastloop import run_loop
from gym_mcp.lag import LagProbe
from gym_mcp.metrics.tally import Tally
from gym_mcp.observe.observed import end_spans, watch_with_numbers, watch_with_spans
from gym_mcp.observe.status import process_report
from gym_mcp.types import JSONObject, Task

if TYPE_CHECKING:
    from gym_mcp.observe.otel import Tracer

_HELLO: Final = 60.0
LAGS_EVERY: Final = 1.0


class Member(Coordinator):
    """Runs orders as they come. Every row is journalled here before the run is told of it."""

    def __init__(
        self,
        arm: Arm,
        directory: RunDirectory,
        parts: Parts,
        concurrency: int,
        repeats: int,
        channel: Channel,
        processes: int,
    ) -> None:
        self._rows = SharedJournal(directory.rollouts_path)
        self._open = [self._rows]
        groups: Groups | None = None
        if parts.description.groups:
            waiting = SharedJournal(directory.waiting_path)
            self._open.append(waiting)
            groups = Groups(directory.waiting_path, parts.client, repeats, lambda _: waiting)
        super().__init__(arm, self._rows, Tally(0, repeats), concurrency, groups)
        self._directory = directory
        self._type = parts.environment_type
        self._channel = channel
        self._processes = processes
        self._tracer: Tracer | None = None
        self._room = Room(concurrency)
        self._memory = asyncio.Event()
        self._memory.set()
        self._tasks = directory.tasks_path.open("rb")
        self._running: set[asyncio.Task[None]] = set()
        self.listen(self._tell)

    async def serve(self) -> None:
        """Take orders until the run says that it is over, or is gone."""
        probe = LagProbe(self.lags)
        teller = asyncio.create_task(self._tell_lags())
        async for message in self._channel.messages():
            orders = message.get("orders", [])
            async for i in ramp(len(orders)):
                order = orders[i]
                task = asyncio.create_task(self._follow(order))
                self._running.add(task)
                task.add_done_callback(self._followed)
            self.heed(message)
            if message.get("drain"):
                self._draining = True
                self.unpause()
                self.hold(False)
            if message.get("end"):
                break
            if self.broken is not None:
                break
        probe.stop()
        teller.cancel()
        await self._end()
        self._send_lags()
        if self._tracer is not None:
            lost = await end_spans(self._tracer)
            self._channel.send({"spans": [lost.sent, lost.dropped, lost.problem]})

    def heed(self, message: JSONObject) -> None:
        """What a message changes for all that is to come."""
        if "pause" in message:
            (self.pause if message["pause"] else self.unpause)()
        if "share" in message:
            self._room.resize(max(1, message["share"]))
        if "model_limit" in message:
            self.set_model_limit(max(1, round(message["model_limit"] / self._processes)))

    def observe(self, wish: JSONObject) -> None:
        """Count and trace as the run was asked to."""
        if "metrics" in wish:
            self.arm.stages.numbers = watch_with_numbers(self.arm)
        if "otel" in wish:
            self._tracer = watch_with_spans(self.arm, wish["otel"])

    async def _tell_lags(self) -> None:
        while True:
            await asyncio.sleep(LAGS_EVERY)
            self._send_lags()

    def _send_lags(self) -> None:
        told = {"lags": self.lags.take(), "greatest": self.lags.greatest, "waiting": self.waiting}
        told["report"] = process_report(self.arm)
        if self.arm.stages.numbers is not None:
            told["numbers"] = self.arm.stages.numbers.take()
        self._channel.send(told)

    def _followed(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            report(self._channel, error)

    async def _end(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._tasks.close()
        for journal in self._open:
            journal.close()

    def stop(self) -> None:
        """The disk gave out: nothing more can be recorded."""
        self._draining = True
        for task in self._running:
            task.cancel()
        if self.broken is not None:
            report(self._channel, self.broken)

    async def _follow(self, order: JSONObject) -> None:
        task, index = self._task(order["offset"]), order["index"]
        if self.groups is not None:
            await self._follow_group(order, task)
        else:
            for repeat in order["repeats"]:
                await self._play(order, task, repeat)
        self._channel.send({"id": order["id"], "over": True, "index": index})

    def _task(self, offset: int) -> Task[Any]:
        self._tasks.seek(offset)
        return parse_task(self._type, orjson.loads(self._tasks.readline()), str(self._directory.tasks_path))

    async def _follow_group(self, order: JSONObject, task: Task[Any]) -> None:
        assert self.groups is not None
        index = order["index"]
        if self.groups.take(index, order["rows"], order["terminal"]) and not order["repeats"]:
            await self._score(order, task)
        plays = [self._play(order, task, repeat) for repeat in order["repeats"]]
        results = await asyncio.gather(*plays, return_exceptions=True)
        self.groups.give(index)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _play(self, order: JSONObject, task: Task[Any], repeat: int) -> None:
        async with self._room:
            await self._memory.wait()
            if self.paused:
                await self._resumed.wait()
            if self._draining:
                return
            row = await run_rollout(self.arm, task, order["index"], repeat, self._on_retry)
            if self.groups is None:
                self._journalled(order, row)
            elif self._keep(row):
                self._channel.send({"id": order["id"], "kept": repeat})
                await self._score(order, task)
            else:
                self._channel.send({"id": order["id"], "kept": repeat})

    async def _score(self, order: JSONObject, task: Task[Any]) -> None:
        assert self.groups is not None
        self._journalled(order, *await self.groups.score(task, order["index"]))

    def _journalled(self, order: JSONObject, *rows: JSONObject) -> None:
        if self._written(self.journal.append, *rows):
            self._channel.send({"id": order["id"], "rows": [compact(row) for row in rows], "at": self._rows.end})

    def hold(self, hold: bool) -> None:
        """Start nothing more as long as memory is short."""
        if hold and not self._draining:
            self._memory.clear()
        else:
            self._memory.set()

    def _tell(self, event: Event) -> None:
        if isinstance(event, MemoryShort):
            self._channel.send({"memory": (event.short, event.available_mib, event.reserve_mib)})
        if isinstance(event, AttemptFailed):
            fields = (event.task_id, event.repeat, event.kind, event.message, event.wait)
            self._channel.send({"retry": fields})
        elif isinstance(event, EnvironmentFull):
            self._channel.send({"full": event.message})


def report(channel: Channel, error: BaseException) -> None:
    """Tell the run of what ends this process."""
    kind = "usage" if isinstance(error, UsageError) else "disk" if isinstance(error, DiskError) else "bug"
    if kind == "bug":
        traceback.print_exception(error, file=sys.stderr)
    channel.send({"error": kind, "message": str(error)})


async def _main(sock: socket.socket) -> None:
    channel = await Channel.over(sock)
    async with asyncio.timeout(_HELLO):
        hello = await anext(channel.messages())
    sys.path[:] = hello["path"]
    for root in reversed(hello["hubs"]):
        hub.add_root(Path(root))
    config = RunConfig.model_validate(hello["config"])
    try:
        parts = await connect(config)
        try:
            limiter = getattr(parts.model, "limiter", None)
            if limiter is not None:
                limiter.share(hello["workers"])
            directory = RunDirectory.existing(Path(hello["run_dir"]))
            manifest = directory.read_manifest()
            arm = make_arm(manifest, config, parts)
            processes = hello["workers"]
            member = Member(arm, directory, parts, config.concurrency, manifest["repeats"], channel, processes)
            member.heed(hello)
            member.observe(hello.get("observe", {}))
            channel.send({"ready": os.getpid()})
            hooks = {"emit": member.emit, "pause": member.hold, "let_one": lambda: member.hold(False)}
            await guarded(parts.harness, config.max_memory, member.serve, **hooks)
        finally:
            await parts.aclose()
    except Exception as e:
        report(channel, e)
    await channel.aclose()


def main(descriptor: str, parent: str) -> None:
    """Entry point of the process: the number of its socket, the run's process id."""
    live_and_die_with(int(parent))
    run_loop(_main(socket.socket(fileno=int(descriptor))))
