"""A score over tasks with everything that is needed to defend it, as JSON."""

from __future__ import annotations

from math import fsum, inf

from gym_mcp.metrics.bootstrap import bootstrap_interval
from gym_mcp.metrics.intervals import (
    clopper_pearson_interval,
    new_tasks_interval,
    these_tasks_interval,
    wilson_interval,
)
from gym_mcp.metrics.scores import Interval, TaskScores
from gym_mcp.metrics.variance import split_variance
from gym_mcp.types import JSONObject


def new_tasks(scores: TaskScores, *, level: float = 0.95) -> Interval | None:
    """The headline interval: for new tasks like these."""
    return new_tasks_interval(scores.means, scores.bounds, repeats=single(scores), level=level)


def single(scores: TaskScores) -> float:
    """The `repeats` that `score_interval` wants to know: infinite for graded scores."""
    return scores.repeats if scores.two_valued else inf


def estimate(scores: TaskScores, *, level: float = 0.95, full: bool = True) -> JSONObject:
    """`value` (mean over tasks), `new_tasks`, `these_tasks` and, when `full`, the other intervals and the spread.

    `wilson` and `clopper_pearson` apply to single binary rollouts only, null elsewhere.
    """
    found: JSONObject = {
        "value": scores.mean,
        "tasks": len(scores),
        "rollouts": sum(scores.counts),
        "level": level,
        "new_tasks": as_json(new_tasks(scores, level=level)),
        "these_tasks": as_json(these_tasks_interval(scores, level=level)),
    }
    if not full:
        return found
    split = split_variance(scores)
    found["bootstrap"] = as_json(bootstrap_interval(scores.means, level=level))
    found.update(_exact(scores, level), variance=split.as_json() if split else None)
    return found


def _exact(scores: TaskScores, level: float) -> JSONObject:
    """The intervals of a plain proportion, where each task has one rollout that passed or did not."""
    n = len(scores)
    if not n or max(scores.counts) > 1 or not scores.two_valued or scores.bounds != (0.0, 1.0):
        return {"wilson": None, "clopper_pearson": None}
    passed = round(fsum(scores.means))
    exact = clopper_pearson_interval(passed, n, level=level)
    return {
        "wilson": Interval(*wilson_interval(passed, n, level=level), "Wilson").as_json(),
        "clopper_pearson": Interval(*exact, "Clopper-Pearson").as_json(),
    }


def as_json(interval: Interval | None) -> JSONObject | None:
    return None if interval is None else interval.as_json()
