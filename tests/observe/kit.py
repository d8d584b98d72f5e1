"""Runs in this process whose model answers when it is let, and a client of their control sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from gym_mcp.coordinator.coordinator import Coordinator
from gym_mcp.coordinator.events import Event
from gym_mcp.coordinator.run import Outcome, start
from gym_mcp.observe.control import ask
from gym_mcp.observe.observed import Observe
from gym_mcp.types import JSONObject
from tests.coordinator.kit import read_lines
from tests.coordinator.runs import SCRIPT, Workbench
from tests.endpoint import Answer, Body, Endpoint, Script

PATIENCE = 20.0


class Gate:
    """A script that answers as `script` does, once it is open."""

    def __init__(self, script: Script = SCRIPT) -> None:
        self.opened = asyncio.Event()
        self._script = script

    def open(self) -> None:
        self.opened.set()

    async def __call__(self, body: Body, n: int) -> Answer:
        await self.opened.wait()
        answer = self._script(body, n)
        assert not asyncio.iscoroutine(answer)
        return answer  # type: ignore[return-value]


@dataclass
class Running:
    """A run in progress."""

    bench: Workbench
    gate: Gate
    task: asyncio.Task[Outcome]
    coordinator: Coordinator
    events: list[Event] = field(default_factory=list)

    async def ask(self, do: str, **arguments: Any) -> JSONObject:
        return await asyncio.to_thread(ask, self.bench.run_dir, {"do": do, **arguments})

    async def status(self) -> JSONObject:
        """A snapshot that is newer than this call."""
        await asyncio.sleep(0.21)
        status: JSONObject = (await self.ask("status"))["status"]
        return status

    async def ended(self) -> Outcome:
        self.gate.open()
        async with asyncio.timeout(PATIENCE):
            return await self.task

    def rows(self) -> list[JSONObject]:
        return read_lines(self.bench.rollouts)

    def journalled(self) -> list[JSONObject]:
        """The lines of `events.jsonl`."""
        lines = (self.bench.run_dir / "events.jsonl").read_bytes().splitlines()
        return [orjson.loads(line) for line in lines]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    *,
    tasks: int = 6,
    script: Script = SCRIPT,
    observe: Observe | None = None,
    with_socket: bool = True,
    **settings: Any,
) -> AsyncIterator[Running]:
    """A run of `tasks` rollouts, whose model waits at the gate."""
    gate = Gate(script)
    folder.mkdir(exist_ok=True)
    async with Endpoint(gate, record=True) as endpoint:
        bench = Workbench(folder, endpoint, tasks)
        events: list[Event] = []
        found: list[Coordinator] = []
        config = bench.config(**{"repeats": 1, "model_timeout": 30.0, **settings})
        task = asyncio.create_task(start(config, bench.run_dir, [events.append], found.append, observe=observe))
        try:
            socket = bench.run_dir / "control.sock"
            await until(lambda: (socket.exists() if with_socket else bool(found)) or task.done())
            if task.done():
                task.result()
            yield Running(bench, gate, task, found[0], events)
        finally:
            gate.open()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
