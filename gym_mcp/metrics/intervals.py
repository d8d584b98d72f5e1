"""Confidence intervals for a mean over tasks, for these tasks and for new tasks like these.

Both are Wilson's (1927) score interval with an effective number of observations in place of n (Kish 1965; for
clustered proportions Korn & Graubard 1998, Dean & Pagano 2015): n_eff = m (1 - m) / Var(m), m being the mean on
the scale from 0 to 1. Scores between two bounds vary at most like a coin of the same mean, so n_eff is at least
the number of independent draws. The plain t interval is wrong where most tasks are solved or most are not:
`perf/coverage.py` shows by how much, and `docs/statistics.md` how the constants were chosen.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import fsum, inf, isfinite, isnan, sqrt
from statistics import NormalDist
from typing import Final

from gym_mcp.metrics.scores import Bounds, Interval, TaskScores
from gym_mcp.metrics.student import beta_quantile, t_quantile

_NO_SPREAD: Final = 1e-12
_PRIOR: Final = 8.0
"""Weight, in tasks, of the largest possible spread when a single task is off the end: few say little."""


def wilson_interval(successes: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Score interval for a proportion (Wilson 1927): right where the normal one collapses, at 0 and n."""
    return _score_interval(successes / n, n, NormalDist().inv_cdf(0.5 + level / 2))


def clopper_pearson_interval(successes: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """The exact interval for a proportion (Clopper & Pearson 1934): never covers less than `level`, often more."""
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else beta_quantile(tail, successes, n - successes + 1)
    high = 1.0 if successes == n else beta_quantile(1 - tail, successes + 1, n - successes)
    return low, high


def _score_interval(p: float, n: float, quantile: float) -> tuple[float, float]:
    z = quantile
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At the ends the formula gives 0 and 1; rounding must not.
    low = 0.0 if p <= 0.0 else max(0.0, centre - half)
    high = 1.0 if p >= 1.0 else min(1.0, centre + half)
    return low, high


def mean_interval(
    task_means: Sequence[float], *, level: float = 0.95, bounds: Bounds | None = None
) -> tuple[float, float] | None:
    """Interval for the mean over new tasks like these: t with T-1 degrees of freedom on the task means.

    A task's repeats are a cluster, so the spread of task means is all that counts (cluster-robust for equal
    cluster weights; Miller 2024, arXiv:2411.00640, section 2.2). Clipped to `bounds`. None for fewer than two
    tasks.
    """
    n = len(task_means)
    if n < 2:
        return None
    mean = fsum(task_means) / n
    variance = fsum((x - mean) ** 2 for x in task_means) / (n - 1)
    half = t_quantile(0.5 + level / 2, n - 1) * sqrt(variance / n)
    low, high = bounds if bounds is not None else (mean - half, mean + half)
    return max(low, mean - half), min(high, mean + half)


def score_interval(
    task_means: Sequence[float],
    bounds: Bounds = (0.0, 1.0),
    *,
    repeats: float = inf,
    level: float = 0.95,
) -> tuple[float, float] | None:
    """Interval for the mean over new tasks like these of scores within `bounds`. None without tasks.

    `repeats`: rollouts a task where each scores one bound or the other (the share that the coin's own variance
    explains needs no estimating), infinite otherwise. With one such rollout a task it is Wilson's on the tasks;
    the same where the means show no spread, which says nothing about it. Without finite bounds: t.
    """
    found = new_tasks_interval(task_means, bounds, repeats=repeats, level=level)
    return None if found is None else (found.low, found.high)


def new_tasks_interval(
    task_means: Sequence[float], bounds: Bounds, *, repeats: float = inf, level: float = 0.95
) -> Interval | None:
    """`score_interval` with the name of the formula that was used."""
    low, high = bounds
    width = high - low
    if not task_means:
        return None
    if not isfinite(width) or width <= 0.0:
        pair = mean_interval(task_means, level=level, bounds=bounds)
        return None if pair is None else Interval(*pair, "clustered t")
    tasks = len(task_means)
    shares = array("d", ((x - low) / width for x in task_means))
    mean = min(1.0, max(0.0, fsum(shares) / tasks))
    variance = fsum((x - mean) ** 2 for x in shares) / (tasks - 1) if tasks > 1 else 0.0
    if variance <= _NO_SPREAD or all(min(abs(x), abs(1 - x)) <= _NO_SPREAD for x in shares):
        return _scaled(wilson_interval(mean * tasks, tasks, level=level), bounds, "Wilson")
    coin = mean * (1 - mean)
    end = 1.0 if mean > 0.5 else 0.0
    off = max(1, sum(1 for x in shares if abs(x - end) > _NO_SPREAD))
    weight = _PRIOR / off**2
    variance = (variance * (tasks - 1) + weight * coin) / (tasks - 1 + weight)
    effective = max(float(tasks), coin * tasks / variance)
    freedom = (tasks - 1) / (1 - 1 / repeats) if repeats > 1 else inf
    quantile = t_quantile(0.5 + level / 2, freedom)
    return _scaled(_score_interval(mean, effective, quantile), bounds, "Wilson, effective n of tasks")


def these_tasks_interval(scores: TaskScores, *, level: float = 0.95) -> Interval | None:
    """Interval for the mean over exactly these tasks, had each been tried for ever: only luck within tasks counts.

    None when fewer than half of the tasks have two rollouts; those with one are taken to vary like the others.
    Without finite bounds: t with Satterthwaite's (1946) degrees of freedom; None when no task varied.
    """
    known = array("d", (v for v in scores.variances if not isnan(v)))
    tasks, mean = len(scores), scores.mean
    if mean is None or not known or 2 * len(known) < tasks:
        return None
    typical = fsum(known) / len(known)
    columns = zip(scores.counts, scores.variances, strict=True)
    variance = fsum((typical if isnan(v) else v) / n for n, v in columns) / tasks**2
    if not isfinite(scores.width):
        return _satterthwaite(scores, mean, variance, level)
    low, width = scores.bounds[0], scores.width
    share = min(1.0, max(0.0, (mean - low) / width))
    draws = tasks * scores.repeats
    variance /= width * width
    effective = max(draws, share * (1 - share) / variance) if variance > _NO_SPREAD / draws else draws
    quantile = t_quantile(0.5 + level / 2, sum(n - 1 for n in scores.counts))  # those with one add nothing
    return _scaled(
        _score_interval(share, effective, quantile), scores.bounds, "Wilson, effective n of rollouts within tasks"
    )


def _satterthwaite(scores: TaskScores, mean: float, variance: float, level: float) -> Interval | None:
    if variance <= 0.0:
        return None
    pairs = [(n, v / n) for n, v in zip(scores.counts, scores.variances, strict=True) if not isnan(v)]
    freedom = fsum(x for _, x in pairs) ** 2 / fsum(x * x / (n - 1) for n, x in pairs)
    half = t_quantile(0.5 + level / 2, freedom) * sqrt(variance)
    low, high = scores.bounds
    return Interval(max(low, mean - half), min(high, mean + half), "t within tasks")


def _scaled(share: tuple[float, float], bounds: Bounds, method: str) -> Interval:
    low, high = bounds
    below, above = share
    return Interval(max(low, low + (high - low) * below), min(high, low + (high - low) * above), method)
