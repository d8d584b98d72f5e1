"""Several runs at once on a terminal: what tells them from each other, a line for each and one for all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.cli.together import drive_together, names
from gym_mcp.coordinator.config import make_config, make_plan
from tests.coordinator.kit import POISONED, rows, write_rows


def run_of(environment: str, model: str = "builtin/null", **settings: Any) -> Any:
    return make_config({"environment": environment, "model": model, **settings})


def test_names_say_what_differs() -> None:
    a, b = run_of("mcqa"), run_of("envs/my_env.py")
    assert names([a, b]) == ["mcqa", "my_env"]
    assert names([a, run_of("mcqa", "builtin/oracle")]) == ["builtin/null", "builtin/oracle"]
    both = names([a, run_of("calendar", "builtin/oracle")])
    assert both == ["mcqa · builtin/null", "calendar · builtin/oracle"]
    assert names([a, run_of("mcqa", repeats=2)]) == ["1", "2"]
    assert names([a, a, b]) == ["1 mcqa", "2 mcqa", "3 my_env"]


def test_a_line_for_each_run_and_one_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gym_mcp.cli.progress.PLAIN_EVERY", 0.0)
    monkeypatch.setattr("gym_mcp.cli.progress._SPARED", 0)
    input = str(write_rows(tmp_path / "rows.jsonl", rows(3)))
    plan = make_plan(
        {
            "environment": str(POISONED),
            "models": ["builtin/null", "builtin/oracle"],
            "together": True,
            "input": input,
            "concurrency": 2,
        }
    )
    outcomes, errors = drive_together(plan, quiet=False)
    said = capsys.readouterr().err
    assert len(outcomes) == 2 and not errors and all(outcome.complete for outcome in outcomes)
    assert re.search(r"^builtin/null    3/3 \(100%\) · pass@1 ", said, re.M), said
    assert re.search(r"^builtin/oracle  3/3 \(100%\) · pass@1 100.0%", said, re.M), said
    assert re.search(r"^all             6/6 \(100%\) · [0-9.]+/s, \d+ running, ETA 0 s$", said, re.M), said
    drive_together(plan, quiet=True)
    assert capsys.readouterr().err == ""
