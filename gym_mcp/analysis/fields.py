"""Every number of a run's rows, described: components, usage, calls, seconds."""

from __future__ import annotations

from array import array
from collections import Counter
from math import fsum, isnan, sqrt

from gym_mcp.analysis.estimates import as_json, new_tasks
from gym_mcp.analysis.sheet import FAILED, Sheet
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
        means = [fsum(v) / len(v) for v in sheet.task_values(column) if v]
        mean = fsum(means) / len(means) if means else None
    ordered = _ordered(values)
    n, total = len(values), fsum(values)
    pooled = total / n if n else 0.0
    return {
        "mean": mean,
        "new_tasks": interval,
        "rollouts": n,
        "of_failed": sum(1 for i, v in enumerate(column) if sheet.state[i] == FAILED and not isnan(v)),
        "sum": total,
        "pooled_mean": pooled if n else None,
        "sd": sqrt(fsum((v - pooled) ** 2 for v in values) / (n - 1)) if n > 1 else None,
        "min": ordered[0] if n else None,
        "median": quantile(ordered, 0.5) if n else None,
        "p95": quantile(ordered, 0.95) if n else None,
        "max": ordered[-1] if n else None,
    }


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
