"""All that lets people see and steer a run, put up before its work begins and taken down after it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from dataclasses import dataclass
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING

from gym_mcp.observe.status import Lost, Status
from gym_mcp.types import JSONObject

if TYPE_CHECKING:
    from gym_mcp.coordinator.coordinator import Coordinator
    from gym_mcp.coordinator.rollout import Arm
    from gym_mcp.observe.export import OtelSettings
    from gym_mcp.observe.numbers import Numbers
    from gym_mcp.observe.otel import Tracer


@dataclass(frozen=True, slots=True)
class Observe:
    """What was asked for besides the control socket, which every run has. `metrics`: where to serve them."""

    metrics: socket.socket | None = None
    otel: OtelSettings | None = None


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

        try:
            await self._watch()
            desk = Desk(self._coordinator, self._status, self._run_dir)
            problem = await self._stack.enter_async_context(controlled(desk, self._run_dir))
        except BaseException:
            await self._stack.aclose()
            raise
        if problem is not None:
            self._coordinator.emit(Notice(f"no control socket, so no `gym-mcp top`: {problem}"))
        return self

    async def _watch(self) -> None:
        """Put up what was asked for; worker processes are told to do their part."""
        wish: JSONObject = {}
        stages = self._coordinator.arm.stages
        if self._observe.otel is not None:
            otel = {**self._observe.otel.as_json(), "run": random.getrandbits(64) or 1}
            tracer = watch_with_spans(self._coordinator.arm, otel)
            self._stack.push_async_callback(self._end_spans, tracer, time_ns())
            wish["otel"] = otel
        if self._observe.metrics is not None:
            from gym_mcp.observe.prometheus import render, serving

            numbers = watch_with_numbers(self._coordinator.arm)
            stages.numbers = numbers
            page = serving(self._observe.metrics, lambda: render(self._status, numbers))
            await self._stack.enter_async_context(page)
            wish["metrics"] = True
        if wish:
            self._coordinator.tell_processes({"observe": wish})

    async def _end_spans(self, tracer: Tracer, start: int) -> None:
        from gym_mcp.coordinator.events import Notice

        tally = self._coordinator.tally
        facts = {"gym_mcp.expected": tally.expected, "gym_mcp.done": tally.done}
        tracer.run_ended(start, facts, complete=tally.done == tally.expected)
        lost = self._coordinator.lost_spans
        lost.add(await end_spans(tracer))
        if lost.dropped:
            total = f"{lost.dropped:,} of {lost.dropped + lost.sent:,} spans"
            self._coordinator.emit(Notice(f"otel: {total} were dropped: {lost.problem}"))

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()


def watch_with_numbers(arm: Arm) -> Numbers:
    """Count the calls of this process."""
    from gym_mcp.observe.numbers import Numbers

    numbers = Numbers()
    arm.stages.watchers = (*arm.stages.watchers, numbers)
    return numbers


def watch_with_spans(arm: Arm, otel: JSONObject) -> Tracer:
    """Make spans of what this process does. `otel`: settings, and the id of the run's span."""
    from gym_mcp.observe.export import OtelSettings
    from gym_mcp.observe.otel import Tracer, trace_of

    settings = OtelSettings(otel["target"], otel["content"])
    exporter = settings.exporter(trace_of(arm.run_id))
    tracer = Tracer(exporter, arm, otel["run"], content=settings.content)
    arm.stages.watchers = (*arm.stages.watchers, tracer)
    return tracer


async def end_spans(tracer: Tracer) -> Lost:
    """Send what is queued, in bounded time; what became of all spans of this process."""
    exporter = tracer.exporter
    await asyncio.to_thread(exporter.close)
    return Lost(exporter.sent, exporter.dropped, exporter.problem)
