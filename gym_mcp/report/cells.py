"""The cells of the map of tasks: what became of each attempt, in one of seven states."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Final

from gym_mcp.analysis.sheet import FAILED
from gym_mcp.metrics.tally import FULL, is_full
from gym_mcp.report.collect import RunReport
from gym_mcp.types import JSONObject

STATES: Final = ("full", "q3", "q2", "q1", "q0", "failed", "missing")
"""What a cell of the heat map can be; also the names of its CSS variables."""
NAMES: Final = dict(
    zip(
        STATES,
        (
            "full score",
            "¾ or more",
            "½ to ¾",
            "¼ to ½",
            "less than ¼",
            "failed, no score",
            "missing",
        ),
        strict=True,
    )
)
MARKS: Final = dict(zip(STATES, "P3210x·", strict=True))
"""A letter for each state, where there are no colours."""


def cell(reward: float | None, failed: bool, best: float, worst: float) -> str:
    """The state of one rollout: a full score, a quarter of the range, a failure, or nothing yet."""
    if reward is None:
        return "failed" if failed else "missing"
    if is_full(reward, best):
        return "full"
    if abs(reward - worst) <= FULL or best == worst:
        return "q0"
    share = (reward - worst) / (best - worst)
    return f"q{min(3, max(0, int(4 * share)))}"


def with_states(report: RunReport) -> list[JSONObject]:
    """The tasks with the state of each attempt, and a letter for each."""
    sheet = report.run.sheet
    rewards = [r for task in report.tasks for r in task["rewards"] if r is not None]
    best, worst = _ends(report, rewards)
    found = []
    for task in report.tasks:
        start = task["task_index"] * sheet.repeats
        states = [
            cell(reward, sheet.state[start + i] == FAILED, best, worst) for i, reward in enumerate(task["rewards"])
        ]
        found.append({**task, "states": states, "marks": "".join(MARKS[s] for s in states)})
    return found


def _ends(report: RunReport, rewards: Sequence[float]) -> tuple[float, float]:
    """(best, worst) reward: as declared, or as seen where there is no end."""
    low, high = report.run.sheet.bounds
    low = low if isfinite(low) else min(rewards, default=0.0)
    high = high if isfinite(high) else max(rewards, default=1.0)
    return (high, low) if report.run.sheet.higher_is_better else (low, high)


def legend(tasks: Sequence[JSONObject]) -> list[tuple[str, str]]:
    seen = {state for task in tasks for state in task["states"]}
    names = NAMES | ({} if seen & {"q1", "q2", "q3"} else {"q0": "not solved"})
    return [(state, names[state]) for state in STATES if state in seen]
