"""The difference between two arms that tried the same tasks: interval, t test, what a larger run would need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, fsum, inf, isfinite, isnan, sqrt
from statistics import NormalDist
from typing import Final

from gym_mcp.metrics.intervals import these_tasks_interval
from gym_mcp.metrics.scores import Interval, TaskScores
from gym_mcp.metrics.signflip import SignFlip
from gym_mcp.metrics.student import t_cdf, t_quantile

ENOUGH: Final = 20
_ROUNDING: Final = 1e-24
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Spread:
    """Differences over tasks: their mean, the variance among them, and the standard error of the mean."""

    tasks: int
    mean: float
    variance: float

    @classmethod
    def of(cls, differences: Sequence[float]) -> Spread:
        """Differences that only rounding tells apart have no variance."""
        n = len(differences)
        mean = fsum(differences) / n
        variance = fsum((d - mean) ** 2 for d in differences) / (n - 1) if n > 1 else 0.0
        return cls(n, mean, variance if variance > _ROUNDING * max(1.0, mean**2) else 0.0)

    @property
    def error(self) -> float:
        return sqrt(self.variance / self.tasks)


def paired_interval(differences: Sequence[float], width: float, *, level: float = 0.95) -> Interval | None:
    """Interval for the mean difference over new tasks like these: t on the differences (Miller 2024, section 4.2).

    `width` of the range of scores. Differences that are all alike show no spread; then that of two more tasks that
    differ fully, one each way (Bonett & Price 2012, for pairs that never differ). None for one task.
    """
    found = Spread.of(differences)
    if found.tasks < 2:
        return None
    if not found.variance:
        if not isfinite(width):
            return None
        half = _NORMAL.inv_cdf(0.5 + level / 2) * sqrt(2.0) * width / (found.tasks + 2)
        method = "Bonett-Price"
    else:
        half = t_quantile(0.5 + level / 2, found.tasks - 1) * found.error
        method = "paired t"
    return Interval(max(-width, found.mean - half), min(width, found.mean + half), method)


def paired_t(differences: Sequence[float]) -> float | None:
    """Two-sided p of the paired t test; None without spread or with one task."""
    found = Spread.of(differences)
    if not found.variance:
        return None
    return 2 * t_cdf(-abs(found.mean) / found.error, found.tasks - 1)


def paired_p(differences: Sequence[float], flip: SignFlip) -> float:
    """The p-value that a verdict rests on: paired t's from `ENOUGH` tasks on, else the permutation test's.

    From there on t keeps its level better where few tasks differ, and agrees with the interval; below, only the
    permutation test is sure to (`perf/coverage.py`).
    """
    t = paired_t(differences) if len(differences) >= ENOUGH else None
    return flip.p if t is None else t


def these_tasks_difference(a: TaskScores, b: TaskScores, *, level: float = 0.95) -> Interval | None:
    """Interval for b - a over exactly these tasks.

    The arms' luck within tasks is independent, so their own intervals combine (MOVER: Newcombe 1998, Zou & Donner
    2008). None when an arm has none: single rollouts.
    """
    one, other = these_tasks_interval(a, level=level), these_tasks_interval(b, level=level)
    if one is None or other is None or a.mean is None or b.mean is None:
        return None
    difference = b.mean - a.mean
    low = difference - sqrt((b.mean - other.low) ** 2 + (one.high - a.mean) ** 2)
    high = difference + sqrt((other.high - b.mean) ** 2 + (a.mean - one.low) ** 2)
    return Interval(low, high, "MOVER of Wilson within tasks")


def detectable(spread: Spread, *, level: float = 0.95, power: float = 0.8) -> float | None:
    """The true difference that a repetition of this comparison would find with this `power`, about.

    (t_{1-a/2} + t_power) times the standard error (Bloom 1995). None for one task or without spread.
    """
    if not spread.variance:
        return None
    freedom = spread.tasks - 1
    return (t_quantile(0.5 + level / 2, freedom) + t_quantile(power, freedom)) * spread.error


def power_of(difference: float, variance: float, tasks: int, *, level: float = 0.95) -> float:
    """Chance that a paired t test over `tasks` finds a true `difference`, `variance` being that among tasks.

    The noncentral t by a shifted one; right to two points from 20 tasks on.
    """
    critical = t_quantile(0.5 + level / 2, tasks - 1)
    shift = abs(difference) / sqrt(variance / tasks)
    return t_cdf(shift - critical, tasks - 1) + t_cdf(-shift - critical, tasks - 1)


def tasks_needed(difference: float, variance: float, *, level: float = 0.95, power: float = 0.8) -> int | None:
    """Tasks for a paired test to find `difference`: (z_{1-a/2} + z_power)^2 variance / difference^2."""
    if difference == 0.0:
        return None
    needed = _sum_of_quantiles(level, power) ** 2 * variance / difference**2
    return max(2, ceil(needed)) if isfinite(needed) else None


def repeats_needed(
    difference: float, spread: Spread, a: TaskScores, b: TaskScores, *, level: float = 0.95, power: float = 0.8
) -> float | None:
    """Rollouts of a task in each arm, on as many tasks, to find `difference`; infinite when tasks differ too much.

    Repeats shrink the luck within tasks and nothing else: the variance of a task's difference is what the arms
    truly differ by, plus (v_a + v_b) / repeats. None when single rollouts cannot tell the two apart.
    """
    noise = _within(a), _within(b)
    if difference == 0.0 or noise[0] is None or noise[1] is None:
        return None
    luck = noise[0] / a.repeats + noise[1] / b.repeats
    true = max(0.0, spread.variance - luck)
    allowed = spread.tasks * (difference / _sum_of_quantiles(level, power)) ** 2 - true
    return max(1, ceil((noise[0] + noise[1]) / allowed)) if allowed > 0.0 else inf


def _within(scores: TaskScores) -> float | None:
    known = [v for v in scores.variances if not isnan(v)]
    return fsum(known) / len(known) if known else None


def _sum_of_quantiles(level: float, power: float) -> float:
    return _NORMAL.inv_cdf(0.5 + level / 2) + _NORMAL.inv_cdf(power)
