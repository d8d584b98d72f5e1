"""Numbers as people read them, and the headline in plain words."""

from __future__ import annotations

from math import isfinite
from typing import Any

from gym_mcp.types import JSONObject


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}%"


def number(value: float | None) -> str:
    """Three digits that count; whole numbers with thousands set apart."""
    if value is None or not isfinite(value):
        return "–"
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def money(value: float | None) -> str:
    if value is None:
        return "–"
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${value:.2g}"


def seconds(value: float | None) -> str:
    if value is None:
        return "–"
    if value < 1:
        return f"{1000 * value:.3g} ms"
    if value < 120:
        return f"{value:.3g} s"
    return f"{value / 60:.3g} min" if value < 7200 else f"{value / 3600:.3g} h"


def span(interval: JSONObject | None, *, as_percent: bool = True) -> str:
    """`52.1% to 69.8%`."""
    if interval is None:
        return "–"
    show = percent if as_percent else number
    return f"{show(interval['low'])} to {show(interval['high'])}"


def headline(profile: JSONObject) -> list[str]:
    """What came out, in sentences that need no statistics to read."""
    counts, passes = profile["counts"], profile["score"]["pass"]["failed_excluded"]
    if passes["value"] is None:
        return ["No attempt has a score yet."]
    tasks, tries = _of(counts["tasks_scored"], "task"), _tries(counts)
    said = [f"The agent fully solved {percent(passes['value'])} of its attempts, over {tasks} with {tries}."]
    if passes["new_tasks"] is not None:
        new = passes["new_tasks"]
        said.append(
            f"For new tasks like these, the true share is likely to lie between {percent(new['low'])} and "
            f"{percent(new['high'])} (95% confidence)."
        )
    if passes["these_tasks"] is not None:
        these = passes["these_tasks"]
        said.append(
            f"For exactly these tasks, tried again and again: {percent(these['low'])} to {percent(these['high'])}."
        )
    return said


def _tries(counts: JSONObject) -> str:
    spread: dict[str, Any] = counts["scored_per_task"]
    low, high = spread["min"], spread["max"]
    return f"{_of(high, 'attempt')} each" if low == high else f"{low} to {_of(high, 'attempt')} each"


def _of(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
