"""What a person wants to know while a run goes on: how far, how good, what fails, what it costs, how long yet."""

from __future__ import annotations

import sys
import time
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from gym_mcp.coordinator.events import (
    ActorLost,
    ActorsWait,
    AttemptFailed,
    Controlled,
    Draining,
    EnvironmentFull,
    Event,
    MemoryBound,
    MemoryShort,
    Notice,
    RolloutFinished,
    RoomBound,
    RunStarted,
    VerifierChanged,
    WorkerDied,
    WorkersUnreached,
)

if TYPE_CHECKING:
    from gym_mcp.coordinator.coordinator import Coordinator

TERMINAL_EVERY: Final = 0.25
PLAIN_EVERY: Final = 10.0
_SPARED: Final = 20
"""How many times as long as a line took is left to the run before the next: its interval looks at every task."""


class Progress:
    """A listener that keeps one line current on a terminal, or prints a line now and then elsewhere."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.coordinator: Coordinator | None = None
        self._enabled = enabled
        self._terminal = sys.stderr.isatty()
        self._every = TERMINAL_EVERY if self._terminal else PLAIN_EVERY
        self._started = self._due = time.monotonic()
        self._first = 0
        self._retries: Counter[str] = Counter()
        self._live: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def attach(self, coordinator: Coordinator) -> None:
        """Read the numbers from `coordinator`."""
        self.coordinator = coordinator

    def on_event(self, event: Event) -> None:
        if not self._enabled:
            return
        if isinstance(event, RunStarted):
            self._begin(event)
        elif isinstance(event, AttemptFailed):
            self._retries[event.kind] += 1
        elif isinstance(event, WorkerDied):
            self._print(f"worker process {event.pid} died ({event.how}): a new one goes on")
        elif isinstance(event, ActorLost):
            self._print(f"node {event.where}: an actor is lost ({event.why}): what it ran runs again")
        elif isinstance(event, ActorsWait):
            which = f"{event.missing} of {event.count} actors have no node yet"
            self._print(f"{which}: each needs one with room ({event.needs})")
        elif isinstance(event, MemoryBound):
            free, each = event.available_mib, event.each_mib
            self._print(
                f"{event.allowed} rollouts at a time: {free} MiB of memory are free, each takes {each} MiB"
            )
        elif isinstance(event, RoomBound):
            self._print(
                f"{event.allowed} rollouts at a time: {event.environment} holds no more episodes, "
                f"--concurrency is {event.asked}"
            )
        elif isinstance(event, EnvironmentFull):
            self._print(f"the environment is full ({event.message}): rollouts wait for room")
        elif isinstance(event, WorkersUnreached):
            self._print(f"workers that do not answer get no episodes: {', '.join(event.urls)}")
        elif isinstance(event, MemoryShort):
            free = event.available_mib
            self._print(
                f"{free} MiB of memory are free: no new rollouts below {event.reserve_mib} MiB"
                if event.short
                else f"{free} MiB of memory are free again: going on"
            )
        elif isinstance(event, Draining):
            self._print(f"{event.reason}: finishing {event.in_flight} rollouts; again to give them up")
        elif isinstance(event, Controlled | Notice):
            self._print(event.text)
        elif isinstance(event, VerifierChanged):
            self._print(
                f"{'; '.join(event.changed)}: scoring again what is scored; the rows as they were are kept"
            )
        elif isinstance(event, RolloutFinished):
            self._tick()

    def _begin(self, event: RunStarted) -> None:
        self._started = time.monotonic()
        self._due = self._started + self._every
        self._first = event.done
        already = f", {event.done} done already" if event.done else ""
        self._print(f"{event.title}: {event.tasks} tasks x {event.repeats} = {event.expected} rollouts{already}")
        self._print(f"run directory: {event.run_dir}")
        self._go_live()

    def _go_live(self) -> None:
        if self._terminal:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), refresh_per_second=4, transient=True)
            self._live.start()

    def _tick(self) -> None:
        """Show the state if it is time to."""
        now = time.monotonic()
        if now >= self._due:
            self._show(now)
            self._due = now + max(self._every, _SPARED * (time.monotonic() - now))

    def _print(self, line: str) -> None:
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def _show(self, now: float) -> None:
        line = self.line(now)
        if self._live is None:
            self._print(line)
            return
        from rich.text import Text

        self._live.update(Text(line, overflow="fold"))

    def line(self, now: float) -> str:
        """The state of the run in one line."""
        if self.coordinator is None:
            return ""
        tally = self.coordinator.tally
        done = tally.done
        rate = (done - self._first) / max(now - self._started, 1e-9)
        left = (tally.expected - done) / rate if rate else 0.0
        pass_1, pair = tally.headline()
        parts = [f"{done}/{tally.expected} ({100 * done / tally.expected:.0f}%)"]
        if pass_1 is not None:
            ci = f" [{100 * pair[0]:.1f}, {100 * pair[1]:.1f}]" if pair else ""
            parts.append(f"pass@1 {100 * pass_1:.1f}%{ci}")
        if tally.failed:
            parts.append("failed " + ", ".join(f"{k} {n}" for k, n in sorted(tally.failed.items())))
        if self._retries:
            parts.append(f"{self._retries.total()} retried")
        tokens = tally.usage["input_tokens"] + tally.usage["output_tokens"]
        if tokens:
            parts.append(f"{tokens:,} tokens")
        if tally.cost:
            parts.append(f"${tally.cost:.2f}")
        lag = self.coordinator.lags.quantile(0.99)
        if lag is not None:
            parts.append(f"lag p99 {1000 * lag:.0f} ms")
        waiting = self.coordinator.waiting
        running = f"{self.coordinator.in_flight - waiting} running"
        if waiting:
            running += f", {waiting} waiting for room"
        limiter = getattr(self.coordinator.arm.model, "limiter", None)
        if limiter is not None and limiter.waiting:
            parts.append(f"{limiter.waiting} calls wait, the endpoint gets {limiter.limit} at a time")
        parts.append(f"{rate:.1f}/s, {running}, ETA {duration(left)}")
        return " · ".join(parts)


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
