"""The state of each attempt in the map."""

from __future__ import annotations

from pathlib import Path

import pytest

from gym_mcp.report.cells import cell, legend, with_states
from gym_mcp.report.collect import collect
from tests.report.made import write


@pytest.mark.parametrize(
    ("reward", "state"),
    [
        (1.0, "full"),
        (1.0 - 1e-12, "full"),
        (0.99, "q3"),
        (0.75, "q3"),
        (0.5, "q2"),
        (0.3, "q1"),
        (0.1, "q0"),
        (0.0, "q0"),
    ],
)
def test_higher_is_better(reward: float, state: str) -> None:
    assert cell(reward, False, 1.0, 0.0) == state
    assert cell(10 - 20 * reward, False, -10.0, 10.0) == state, "the same, where lower is better"


def test_without_a_score() -> None:
    assert cell(None, True, 1.0, 0.0) == "failed" and cell(None, False, 1.0, 0.0) == "missing"


def test_marks_are_in_the_order_of_the_repeats_and_the_best_task_comes_first(tmp_path: Path) -> None:
    nan = float("nan")
    path = write(tmp_path / "run", [[0.0, None, nan], [1.0, 0.5, 0.0], [None, None, None], [1.0, 1.0, 1.0]])
    tasks = with_states(collect(path))
    assert [(t["task_id"], t["marks"]) for t in tasks] == [
        ("errand-003", "PPP"),
        ("errand-001", "P20"),
        ("errand-000", "0x·"),
        ("errand-002", "xxx"),
    ]
    assert [state for state, _ in legend(tasks)] == ["full", "q2", "q0", "failed", "missing"]
    assert dict(legend(tasks[:1] + tasks[2:3]))["q0"] == "not solved"


def test_open_ranges_take_what_was_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "run", [[-3.0, 7.0], [2.0, 2.0]], reward_range=[None, None])
    assert {t["task_id"]: t["marks"] for t in with_states(collect(path))} == {
        "errand-000": "0P",
        "errand-001": "22",
    }
