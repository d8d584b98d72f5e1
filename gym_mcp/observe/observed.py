"""All that lets people see and steer a run, put up before its work begins and taken down after it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gym_mcp.observe.status import Status

if TYPE_CHECKING:
    from gym_mcp.coordinator.coordinator import Coordinator


@dataclass(frozen=True, slots=True)
class Observe:
    """What was asked for besides the control socket, which every run has."""


class Observed:
    """Made before the run's first event; entered for as long as its work lasts."""

    def __init__(self, coordinator: Coordinator, run_dir: Path, observe: Observe) -> None:
        self._coordinator = coordinator
        self._run_dir = run_dir
        self._observe = observe
        self._status = Status(coordinator, run_dir)
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Observed:
        from gym_mcp.coordinator.events import Notice
        from gym_mcp.observe.control import controlled
        from gym_mcp.observe.desk import Desk

        desk = Desk(self._coordinator, self._status, self._run_dir)
        problem = await self._stack.enter_async_context(controlled(desk, self._run_dir))
        if problem is not None:
            self._coordinator.emit(Notice(f"no control socket, so no `gym-mcp top`: {problem}"))
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()
