"""The estimators behind a run's table: means and intervals over tasks, pass@k, pass^k."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, fsum, isfinite, sqrt
from statistics import NormalDist, fmean

from gym_mcp.metrics.student import t_quantile


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that at least one of `k` of the task's `n` rollouts passes, `c` having passed.

    Unbiased: 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, arXiv:2107.03374). Needs k <= n.
    """
    return 1.0 - comb(n - c, k) / comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Chance that all of `k` of the task's `n` rollouts pass: C(c, k) / C(n, k).

    The unbiased estimator of Yao et al. 2024, arXiv:2406.12045. Needs k <= n.
    """
    return comb(c, k) / comb(n, k)


def mean_interval(
    task_means: Sequence[float], *, level: float = 0.95, bounds: tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """Interval for the mean over new tasks like these: t with T-1 degrees of freedom on the task means.

    A task's repeats are a cluster, so the spread of task means is all that counts (cluster-robust for equal
    cluster weights; Miller 2024, arXiv:2411.00640, section 2.2). Clipped to `bounds`. None for fewer than two
    tasks.
    """
    n = len(task_means)
    if n < 2:
        return None
    mean = fmean(task_means)
    variance = fsum((x - mean) ** 2 for x in task_means) / (n - 1)
    half = t_quantile(0.5 + level / 2, n - 1) * sqrt(variance / n)
    low, high = bounds if bounds is not None else (mean - half, mean + half)
    return max(low, mean - half), min(high, mean + half)


def wilson_interval(successes: float, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Score interval for a proportion (Wilson 1927): right where the normal one collapses, at 0 and n."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At the ends the formula gives 0 and 1; rounding must not.
    low = 0.0 if successes <= 0 else max(0.0, centre - half)
    high = 1.0 if successes >= n else min(1.0, centre + half)
    return low, high


def score_interval(
    task_means: Sequence[float], bounds: tuple[float, float] = (0.0, 1.0), *, level: float = 0.95
) -> tuple[float, float] | None:
    """Interval for a mean over tasks of scores within `bounds`; a pass rate's are 0 and 1.

    When every task's mean lies on a bound (one binary repeat, or repeats that always agree), Wilson on the tasks,
    scaled to the bounds; otherwise the t interval on task means. Means without any spread say nothing about it:
    Wilson again, which is as wide as scores between these bounds can need. None without tasks.
    """
    low, high = bounds
    if not task_means:
        return None
    width = high - low
    if isfinite(width) and width > 0.0:
        spread = max(task_means) - min(task_means)
        if spread <= 1e-12 * width or all(mean in bounds for mean in task_means):
            share = min(1.0, max(0.0, (fmean(task_means) - low) / width))
            below, above = wilson_interval(share * len(task_means), len(task_means), level=level)
            return max(low, low + width * below), min(high, low + width * above)
    return mean_interval(task_means, level=level, bounds=bounds)
