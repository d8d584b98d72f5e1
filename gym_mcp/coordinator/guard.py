"""Keeps agents that are processes from taking all memory: the kernel would end whom it likes, the run included."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

from gym_mcp.coordinator.beside import beside
from gym_mcp.coordinator.events import MemoryShort
from gym_mcp.coordinator.memory import available_mib, reserve_mib

T = TypeVar("T")
EVERY: Final = 1.0
STALLED: Final = 60
"""Looks in a row at too little memory, with nothing of ours running, before a rollout is started all the same."""


class Program(Protocol):
    def end(self, why: str) -> None: ...


class Processes(Protocol):
    """What a harness whose rollouts are processes has as `processes`."""

    async def sizes(self) -> list[tuple[Any, int]]:
        """(`Program`, MiB) of each that runs, the largest first."""


class MemoryGuard:
    """Looks at memory once a second. `pause(True)`: start nothing; `let_one`: waiting may not bring it back.

    A program above `limit_mib` is ended, and so is the largest one above the `assumed_mib` of its kind when half
    of the reserve is gone.
    """

    def __init__(
        self,
        processes: Processes,
        assumed_mib: int,
        limit_mib: int | None,
        *,
        emit: Callable[[MemoryShort], None],
        pause: Callable[[bool], None],
        let_one: Callable[[], None] = lambda: None,
    ) -> None:
        self._processes = processes
        self._assumed = assumed_mib
        self._limit = limit_mib
        self._emit = emit
        self._pause = pause
        self._let_one = let_one
        self._reserve = reserve_mib()
        self._short = False
        self._idle = 0

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self.look()

    async def look(self) -> None:
        """One look: who has to end, and whether rollouts may start."""
        sizes = await self._processes.sizes()
        free = available_mib()
        for program, taken in sizes:
            if self._limit is not None and taken > self._limit:
                program.end(f"the agent took {taken:,} MiB of memory; --max-memory allows {self._limit:,}")
                continue
            if free is not None and free < self._reserve // 2 and taken > self._assumed:
                program.end(
                    f"the agent took {taken:,} MiB of memory ({self._assumed:,} is assumed) and {free:,} MiB were "
                    "left on this machine: it was ended before others were; give a lower --concurrency"
                )
            break
        if free is not None:
            self._start_or_not(free, bool(sizes))

    def _start_or_not(self, free: int, running: bool) -> None:
        wanted = self._reserve + (self._assumed if self._short else 0)
        short = free < wanted
        if short != self._short:
            self._short = short
            self._emit(MemoryShort(short, free, self._reserve))
            self._pause(short)
        self._idle = self._idle + 1 if short and not running else 0
        if self._idle >= STALLED:
            self._idle = 0
            self._let_one()


async def guarded(harness: Any, limit_mib: int | None, work: Callable[[], Awaitable[T]], **hooks: Any) -> T:
    """What `work` gives, with the memory of the harness's processes watched meanwhile, where it has any."""
    processes = getattr(harness, "processes", None)
    if processes is None:
        return await work()
    async with beside(MemoryGuard(processes, harness.memory_mib, limit_mib, **hooks).watch()):
        return await work()
