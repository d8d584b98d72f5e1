"""The worker process: it has an environment, a model and a harness of its own, and journals what it ran itself."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gym_mcp import hub
from gym_mcp.coordinator.config import RunConfig
from gym_mcp.coordinator.connect import Parts, connect, identity
from gym_mcp.coordinator.coordinator import Coordinator
from gym_mcp.coordinator.events import AttemptFailed, EnvironmentFull, Event, MemoryShort
from gym_mcp.coordinator.groups import Groups
from gym_mcp.coordinator.guard import guarded
from gym_mcp.coordinator.journal import DiskError
from gym_mcp.coordinator.memory import bound_by_memory
from gym_mcp.coordinator.ramp import ramp
from gym_mcp.coordinator.rollout import Arm, run_rollout
from gym_mcp.coordinator.run import make_arm
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.crew.channel import Channel
from gym_mcp.crew.desk import Desk, LocalDesk, RemoteDesk
from gym_mcp.crew.orders import compact
from gym_mcp.crew.process import live_and_die_with
from gym_mcp.crew.room import Room
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
_CALL: Final = 5.0
_MANY: Final = 1 << 20
LAGS_EVERY: Final = 1.0


class Member(Coordinator):
    """Runs orders as they come. Every row is journalled here before the run is told of it."""

    def __init__(
        self,
        arm: Arm,
        desk: Desk,
        parts: Parts,
        concurrency: int,
        repeats: int,
        channel: Channel,
        processes: int,
    ) -> None:
        groups: Groups | None = None
        if parts.description.groups:
            groups = Groups(desk.waiting.path, parts.client, repeats, lambda _: desk.waiting)
        super().__init__(arm, desk.rows, Tally(0, repeats), concurrency, groups)
        self._desk = desk
        self._type = parts.environment_type
        self._channel = channel
        self._processes = processes
        self._tracer: Tracer | None = None
        self._room = Room(concurrency)
        self._memory = asyncio.Event()
        self._memory.set()
        self._running: set[asyncio.Task[None]] = set()
        self.served_at: tuple[str, int] | None = None
        """Where the environment server of this process is, if the run started one for it."""
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
        if "observe" in message:
            self.observe(message["observe"])

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
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, _Unserved):
            report(self._channel, error)

    async def _end(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._desk.close()

    def stop(self) -> None:
        """The disk gave out: nothing more can be recorded."""
        self._draining = True
        for task in self._running:
            task.cancel()
        if self.broken is not None:
            report(self._channel, self.broken)

    async def _follow(self, order: JSONObject) -> None:
        task, index = self._task(order), order["index"]
        if self.groups is not None:
            await self._follow_group(order, task)
        else:
            for repeat in order["repeats"]:
                await self._play(order, task, repeat)
        self._channel.send({"id": order["id"], "over": True, "index": index})

    def _task(self, order: JSONObject) -> Task[Any]:
        return parse_task(self._type, self._desk.task(order), self._desk.where)

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
            if self.served_at is not None and _failed_there(row):
                await self._check_server(*self.served_at)
            if self.groups is None:
                self._journalled(order, row)
            else:
                whole = self._keep(row)
                self._report(order, kept=repeat)
                if whole:
                    await self._channel.sent()  # should the scoring kill this process, the member did not
                    await self._score(order, task)

    async def _check_server(self, host: str, port: int) -> None:
        """`_Unserved` when the server is gone: then the rollout did not fail, and runs again with another."""
        try:
            async with asyncio.timeout(_CALL):
                _, writer = await asyncio.open_connection(host, port)
        except OSError:
            self._channel.send({"unserved": True})
            raise _Unserved from None
        writer.close()

    async def _score(self, order: JSONObject, task: Task[Any]) -> None:
        assert self.groups is not None
        self._journalled(order, *await self.groups.score(task, order["index"]))

    def _journalled(self, order: JSONObject, *rows: JSONObject) -> None:
        if self._written(self.journal.append, *rows):
            self._report(order, rows=[compact(row) for row in rows])

    def _report(self, order: JSONObject, **what: Any) -> None:
        said, lines = self._desk.said()
        self._channel.send({"id": order["id"], **what, **said}, *lines)

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


class _Unserved(Exception):
    """The environment server of this process is gone."""


def _failed_there(row: JSONObject) -> bool:
    return bool(row["failure"]) and bool(row["failure"]["kind"] == "environment")


def report(channel: Channel, error: BaseException) -> None:
    """Tell the run of what ends this process."""
    kind = "usage" if isinstance(error, UsageError) else "disk" if isinstance(error, DiskError) else "bug"
    if kind == "bug":
        traceback.print_exception(error, file=sys.stderr)
    channel.send({"error": kind, "message": str(error)})


async def greeted(channel: Channel) -> tuple[JSONObject, RunConfig]:
    """The first message of the run, which makes this process one of it; the settings in it."""
    async with asyncio.timeout(_HELLO):
        hello = await anext(channel.messages())
    sys.path[:] = [*hello.get("more_path", ()), *hello.get("path", sys.path)]
    os.environ.update(hello.get("keys", {}))
    for root in reversed(hello["hubs"]):
        hub.add_root(Path(root))
    return hello, RunConfig.model_validate(hello["config"])


async def _main(sock: socket.socket) -> None:
    channel = await Channel.over(sock)
    hello, config = await greeted(channel)
    try:
        parts = await connect(config)
        try:
            limiter = getattr(parts.model, "limiter", None)
            if limiter is not None:
                limiter.share(hello["workers"])
            desk: Desk = RemoteDesk()
            if "run_dir" in hello:
                desk = LocalDesk(RunDirectory.existing(Path(hello["run_dir"])), groups=parts.description.groups)
            arm = make_arm(hello, config, parts)
            member = Member(arm, desk, parts, config.concurrency, config.repeats, channel, hello["workers"])
            member.heed(hello)
            member.served_at = hello.get("served_at")
            fits = bound_by_memory(_MANY, getattr(parts.harness, "memory_mib", None)).allowed
            channel.send({"ready": os.getpid(), "identity": identity(config, parts, ""), "fits": fits})
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
