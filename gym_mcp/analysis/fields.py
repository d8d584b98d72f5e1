"""Every number of a run's rows, described: components, usage, calls, seconds."""

from __future__ import annotations

from array import array
from collections import Counter
from math import fsum, isnan, sqrt
from operator import mul

from gym_mcp.analysis.estimates import as_json, new_tasks
from gym_mcp.analysis.sheet import Sheet
from gym_mcp.metrics.bootstrap import quantile
from gym_mcp.types import JSONObject


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
    ordered = _ordered(values)
    n, total = len(values), fsum(values)
    pooled = total / n if n else 0.0
    gaps = [v - pooled for v in values] if n and ordered[0] != ordered[-1] else []
    return {
        "mean": mean,
        "new_tasks": interval,
        "rollouts": n,
        "of_failed": sum(1 for i in sheet.failed_slots if not isnan(column[i])),
        "sum": total,
        "pooled_mean": pooled if n else None,
        "sd": sqrt(fsum(map(mul, gaps, gaps)) / (n - 1)) if n > 1 else None,
        "min": ordered[0] if n else None,
        "median": quantile(ordered, 0.5) if n else None,
        "p95": quantile(ordered, 0.95) if n else None,
        "max": ordered[-1] if n else None,
    }


def _over_tasks(sheet: Sheet, column: array[float], values: list[float]) -> float | None:
    if not values:
        return None
    if sheet.scored and values.count(values[0]) == len(values):
        return values[0]
    means = [fsum(v) / len(v) for v in sheet.task_values(column) if v]
    return fsum(means) / len(means) if means else None


def _ordered(values: list[float]) -> array[float]:
    """Sorted; by counting where few values are distinct, as token and call counts are."""
    few = Counter(values[:1000])
    if len(few) < 100:
        counts = Counter(values)
        ordered = array("d")
        for value in sorted(counts):
            ordered.extend(array("d", [value]) * counts[value])
        return ordered
    return array("d", sorted(values))
