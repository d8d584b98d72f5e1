"""The line of a run in progress: how often it is drawn, whatever it costs."""

from __future__ import annotations

import pytest

from gym_mcp.cli.progress import PLAIN_EVERY, Progress
from gym_mcp.coordinator.events import RolloutFinished, RunStarted


@pytest.mark.parametrize(("cost", "lines"), [(0.01, 19), (1.0, 10), (10.0, 1)])
def test_a_line_that_takes_long_is_drawn_the_less_often(
    cost: float, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0

    def line(self: Progress, at: float) -> str:
        nonlocal now
        now += cost
        return "a line"

    monkeypatch.setattr("gym_mcp.cli.progress.time.monotonic", lambda: now)
    monkeypatch.setattr(Progress, "line", line)
    shown = Progress()
    shown.on_event(RunStarted("runs/x", 1_000, 0, 1_000, 1, "title"))
    while now < 20 * PLAIN_EVERY:
        now += 0.05
        shown.on_event(RolloutFinished({}))
    assert lines <= capsys.readouterr().err.count("a line") <= lines + 1
