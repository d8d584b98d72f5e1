"""How much of the spread of scores lies between tasks, and how much among a task's repeats."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, isnan

from gym_mcp.metrics.scores import TaskScores
from gym_mcp.types import JSONObject


@dataclass(frozen=True, slots=True)
class Split:
    """Unbiased estimates by the method of moments, from the tasks with two rollouts or more.

    `within`: mean over tasks of the variance among a task's rollouts. `between`: variance over tasks of their true
    means, which is the variance of the observed means less what luck within tasks adds to it; unbiased also for
    unequal repeats and tasks that vary differently, and by chance below 0 when tasks hardly differ.
    """

    tasks: int
    between: float
    within: float

    @property
    def icc(self) -> float | None:
        """Share of a single rollout's variance that is the task's (intraclass correlation); None without any."""
        between = max(0.0, self.between)
        total = between + self.within
        return between / total if total > 0.0 else None

    def as_json(self) -> JSONObject:
        return {"tasks": self.tasks, "between_tasks": self.between, "within_tasks": self.within, "icc": self.icc}


def split_variance(scores: TaskScores) -> Split | None:
    """None with fewer than two tasks that have two rollouts."""
    columns = zip(scores.counts, scores.means, scores.variances, strict=True)
    known = [(n, mean, v) for n, mean, v in columns if not isnan(v)]
    tasks = len(known)
    if tasks < 2:
        return None
    centre = fsum(mean for _, mean, _ in known) / tasks
    spread = fsum((mean - centre) ** 2 for _, mean, _ in known) / (tasks - 1)
    within = fsum(v for *_, v in known) / tasks
    return Split(tasks, spread - fsum(v / n for n, _, v in known) / tasks, within)
