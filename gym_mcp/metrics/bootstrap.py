"""Cluster bootstrap: tasks are drawn again, each with all its repeats."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, sqrt
from random import Random
from statistics import NormalDist
from typing import Final

from gym_mcp.metrics.scores import Interval
from gym_mcp.metrics.student import t_quantile

RESAMPLES: Final = 2_000
MOST_TASKS: Final = 5_000
"""More tasks than this and the analytic interval is as good, and the bootstrap slow."""
SEED: Final = 0


def bootstrap_interval(
    task_means: Sequence[float], *, level: float = 0.95, resamples: int = RESAMPLES
) -> Interval | None:
    """Interval for the mean over new tasks like these: percentiles of the means of resampled tasks.

    Percentiles are moved outwards as t is to the normal distribution, times sqrt(T/(T-1)), because a resample
    varies less than a new sample (expanded percentiles: Hesterberg 2015, doi:10.1080/00031305.2015.1089789).
    Means are sorted first, so that the draw hangs on nothing but the numbers. None for fewer than two tasks, more
    than `MOST_TASKS`, and for means without any spread: no resample says anything then.
    """
    tasks = len(task_means)
    if not 2 <= tasks <= MOST_TASKS:
        return None
    values = sorted(task_means)
    if values[0] == values[-1]:
        return None
    rng = Random(SEED)
    means = sorted(fsum(rng.choices(values, k=tasks)) / tasks for _ in range(resamples))
    tail = NormalDist().cdf(-sqrt(tasks / (tasks - 1)) * t_quantile(0.5 + level / 2, tasks - 1))
    return Interval(quantile(means, tail), quantile(means, 1 - tail), "cluster bootstrap")


def quantile(ordered: Sequence[float], p: float) -> float:
    """The p-quantile of sorted values, between neighbours by straight lines (Hyndman & Fan 1996, type 7)."""
    place = p * (len(ordered) - 1)
    i = int(place)
    above = ordered[min(i + 1, len(ordered) - 1)]
    return ordered[i] + (place - i) * (above - ordered[i])
