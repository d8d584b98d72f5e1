"""Every number of a run's rows, described: components, usage, calls, seconds."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import fsum, isnan, sqrt
from operator import mul
from typing import Final

from gym_mcp.analysis.estimates import as_json, new_tasks
from gym_mcp.analysis.sheet import Sheet
from gym_mcp.metrics.bootstrap import quantile
from gym_mcp.types import JSONObject

_MANY: Final = 50_000
_SAMPLE: Final = 10_000
_AROUND: Final = 300
"""Places in the sample to each side of a quantile: some six standard errors."""


def describe(sheet: Sheet, name: str) -> JSONObject:
    """`mean` (over tasks, scored rollouts) with its interval; the rest is pooled over all rollouts that have it.

    `sum` counts failed rollouts too: they cost as much.
    """
    column = sheet.columns[name]
    values = [v for v in column if v == v]
    interval: JSONObject | None = None
    if name == "reward" or name.startswith("components."):
        scores = sheet.scores(name)
        mean, interval = scores.mean, as_json(new_tasks(scores))
    else:
        mean = _over_tasks(sheet, column, values)
    low, high = min(values, default=None), max(values, default=None)
    median, most = quantiles(values, (0.5, 0.95)) if values else (None, None)
    n, total = len(values), fsum(values)
    pooled = total / n if n else 0.0
    gaps = [v - pooled for v in values] if low != high else []
    return {
        "mean": mean,
        "new_tasks": interval,
        "rollouts": n,
        "of_failed": sum(1 for i in sheet.failed_slots if not isnan(column[i])),
        "sum": total,
        "pooled_mean": pooled if n else None,
        "sd": sqrt(fsum(map(mul, gaps, gaps)) / (n - 1)) if n > 1 else None,
        "min": low,
        "median": median,
        "p95": most,
        "max": high,
    }


def _over_tasks(sheet: Sheet, column: array[float], values: list[float]) -> float | None:
    if not values:
        return None
    if sheet.scored and values.count(values[0]) == len(values):
        return values[0]
    means = [fsum(v) / len(v) for v in sheet.task_values(column) if v]
    return fsum(means) / len(means) if means else None


def quantiles(values: list[float], shares: Sequence[float]) -> list[float]:
    """The quantiles of `values` as `bootstrap.quantile` has them of all sorted, many at a tenth of the time.

    What lies around a quantile is found with a sample, and only that is sorted.
    """
    if len(values) < _MANY:
        ordered = sorted(values)
        return [quantile(ordered, p) for p in shares]
    sample = sorted(values[:: len(values) // _SAMPLE])
    return [_selected(values, sample, p) for p in shares]


def _selected(values: list[float], sample: list[float], p: float) -> float:
    place, at = p * (len(values) - 1), int(p * (len(sample) - 1))
    low, high = sample[max(0, at - _AROUND)], sample[min(len(sample) - 1, at + _AROUND)]
    near = sorted([v for v in values if low <= v <= high])
    rank = int(place) - sum([v < low for v in values])
    if not 0 <= rank < len(near) - 1:  # the sample was an odd one
        return quantile(sorted(values), p)
    return near[rank] + (place - int(place)) * (near[rank + 1] - near[rank])
