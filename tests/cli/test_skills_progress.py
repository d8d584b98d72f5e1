"""The progress of several arms: one line for all of them, and what all say alike once."""

from __future__ import annotations

from typing import Any

import pytest

from gym_mcp.cli import skills_progress
from gym_mcp.cli.skills_progress import ArmsProgress
from gym_mcp.coordinator.events import AttemptFailed, Draining, MemoryBound, RolloutFinished, RunStarted
from gym_mcp.metrics.tally import Tally
from tests.analysis.made import row
from tests.skill_eval.kit import facts


class Part:
    """What the line is read of."""

    def __init__(self, tally: Tally) -> None:
        self.tally, self.in_flight = tally, 2


def test_a_line_for_all_arms(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skills_progress, "PLAIN_EVERY", 0.0)
    progress = ArmsProgress(enabled=True)
    for arm in ("mine", "none"):
        coordinator: Any = Part(Tally(2, 2, (0.0, 1.0)))
        progress.attach(arm, coordinator)
        progress.on_event(arm, RunStarted("", 4, 1 if arm == "none" else 0, 2, 2, ""))
        progress.on_event(arm, MemoryBound(64, 8, 150, 1_200))
        for i, loaded in enumerate((True, False, None)):
            done = {**row("r", f"t{i}", i % 2, i // 2, "timeout" if i == 2 else 1.0 - i), **facts(loaded)}
            coordinator.tally.add(done)
            progress.on_event(arm, RolloutFinished(done if arm == "mine" else {**done, "harness_facts": None}))
        progress.on_event(arm, AttemptFailed("t0", 0, "model", "no", 1.0))
        progress.on_event(arm, Draining(2, "interrupted"))
    lines = capsys.readouterr().err.splitlines()
    assert (
        lines[0] == "mine: 2 tasks x 2 = 4 rollouts" and "none: 2 tasks x 2 = 4 rollouts, 1 done already" in lines
    )
    assert sum("150 MiB" in line for line in lines) == sum("interrupted" in line for line in lines) == 1
    mine, none = "mine 3/4 pass@1 50.0% failed 1 loaded 1", "none 3/4 pass@1 50.0% failed 1 loaded 0"
    assert progress.line() == f"{mine} · {none} · 2 tried again · 4 running"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = ArmsProgress(enabled=False)
    progress.on_event("mine", RunStarted("", 4, 0, 2, 2, ""))
    assert capsys.readouterr().err == ""
