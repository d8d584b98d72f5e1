"""Several runs at once on the terminal: a line for each and one for all, one Ctrl-C for all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from gym_mcp.cli.progress import Progress, duration
from gym_mcp.coordinator.config import Plan, RunConfig
from gym_mcp.coordinator.coordinator import Coordinator
from gym_mcp.coordinator.events import Listener

if TYPE_CHECKING:
    from gym_mcp.coordinator.mix import Attach
    from gym_mcp.coordinator.run import OnReady, Outcome
    from gym_mcp.observe.observed import Observe


def drive_together(
    plan: Plan, quiet: bool, observe: Observe | None = None
) -> tuple[list[Outcome], list[BaseException]]:
    """Run a plan to its end; what came of its runs, and why some have no outcome."""
    from gym_mcp.coordinator.mix import together
    from gym_mcp.fastloop import run_loop

    board = Board(names(plan.runs), enabled=not quiet)

    async def main() -> list[Outcome | BaseException]:
        with board:
            return await together(plan.runs, plan.concurrency, attaching(board))

    found = run_loop(main())
    errors = [one for one in found if isinstance(one, BaseException)]
    return [one for one in found if not isinstance(one, BaseException)], errors


def attaching(board: Board) -> Attach:
    """Shows each run on its line, and has one signal end all of them."""
    from gym_mcp.cli.eval import drain_on_signals

    coordinators: list[Coordinator] = []

    def attach(number: int) -> tuple[list[Listener], OnReady]:
        line = board.lines[number]

        def on_ready(coordinator: Coordinator) -> None:
            line.attach(coordinator)
            coordinators.append(coordinator)
            if len(coordinators) == 1:
                drain_on_signals(coordinators)

        return [line.on_event], on_ready

    return attach


def names(runs: Sequence[RunConfig]) -> list[str]:
    """What tells each run from the others, in as few words as possible."""
    columns = [[run.benchmark or _short(run.environment), run.model, _short(run.harness)] for run in runs]
    differ = [i for i in range(3) if len({row[i] for row in columns}) > 1]
    short = [" · ".join(row[i] for i in differ) for row in columns]
    if len(set(short)) < len(short):
        short = [f"{number} {name}".strip() for number, name in enumerate(short, 1)]
    return short


def _short(name: str) -> str:
    """A file by its name alone."""
    return Path(name).stem if name.endswith(".py") else name


class Board(Progress):
    """The lines of all runs, and their sum."""

    def __init__(self, labels: Sequence[str], *, enabled: bool = True) -> None:
        super().__init__(enabled=enabled)
        self._width = max(map(len, labels))
        self.lines = [_OneOfMany(self, label, enabled=enabled) for label in labels]
        self._due = self._started + self._every

    def __enter__(self) -> Board:
        if self._enabled:
            self._go_live()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)

    def say(self, label: str, line: str) -> None:
        self._print(f"{label.ljust(self._width)}  {line}")

    def tick(self) -> None:
        self._tick()

    def _show(self, now: float) -> None:
        begun = [line for line in self.lines if line.coordinator is not None]
        texts = [f"{line.label.ljust(self._width)}  {line.line(now)}" for line in begun]
        texts.append(f"{'all'.ljust(self._width)}  {self._sum([line.coordinator for line in begun], now)}")
        if self._live is None:
            self._print("\n".join(texts))
            return
        from rich.text import Text

        self._live.update(Text("\n".join(texts), overflow="fold"))

    def _sum(self, coordinators: Sequence[Any], now: float) -> str:
        done = sum(c.tally.done for c in coordinators)
        expected = sum(c.tally.expected for c in coordinators)
        running = sum(c.in_flight for c in coordinators)
        rate = done / max(now - self._started, 1e-9)
        left = duration((expected - done) / rate) if rate else "-"
        percent = 100 * done / max(expected, 1)
        return f"{done}/{expected} ({percent:.0f}%) · {rate:.1f}/s, {running} running, ETA {left}"


class _OneOfMany(Progress):
    """What one run has to say, on the board of all."""

    def __init__(self, board: Board, label: str, *, enabled: bool) -> None:
        super().__init__(enabled=enabled)
        self.label = label
        self._board = board

    def _go_live(self) -> None:
        self._started = time.monotonic()

    def _print(self, line: str) -> None:
        self._board.say(self.label, line)

    def _tick(self) -> None:
        self._board.tick()
