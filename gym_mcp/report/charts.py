"""Charts as inline SVG, drawn by Vega-Lite in this process: no script and no font reaches the page.

Colours are the page's CSS variables, so that a chart follows its light or dark theme. Widths fit a phone.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from itertools import count
from math import isfinite
from typing import Any, Final

import orjson

from gym_mcp.errors import UsageError
from gym_mcp.report.cells import NAMES, STATES
from gym_mcp.types import JSONObject

EXTRA: Final = "report: a page needs the extra `report`: pip install 'gym-mcp[report]' (.md and .csv do not)"
WIDTH: Final = 340
"""CSS pixels of a chart, labels included."""
CURVES: Final = ("any of k passes", "all of k pass")
_APART: Final = 32
"""Up to so many repeats the cells of a row are set apart."""
_BINS: Final = 20
_NUMBERS: Final = count()
_MARK: Final = re.compile(
    r'<path aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="[^"]*" ([^>]*?)/>'
)
_PLACE: Final = re.compile(r' (?:d|transform)="[^"]*"')
_HEAD: Final = re.compile(r'<svg [^>]*?width="([\d.]+)" height="([\d.]+)"[^>]*>')
_CONFIG: Final[JSONObject] = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "titleFontWeight": "normal",
        "titleFontSize": 11,
        "labelFontSize": 11,
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
    },
    "text": {"fill": "var(--fg)", "fontSize": 12},
    "legend": {"labelColor": "var(--fg)", "labelFontSize": 12, "title": None, "orient": "top"},
}


def svg(spec: JSONObject, title: str) -> str:
    """The chart of a Vega-Lite specification, with `title` as its text alternative."""
    try:
        import vl_convert
    except ImportError:
        raise UsageError(EXTRA) from None
    whole = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": 2,
        "config": _CONFIG,
        "width": WIDTH,
        **spec,
    }
    text: str = vl_convert.vegalite_to_svg(whole, allowed_base_urls=[])
    return _inline(text, title, f"c{next(_NUMBERS)}-")


def _inline(text: str, title: str, prefix: str) -> str:
    """An SVG for the middle of a page: named, its ids its own, what a mark stands for as its tooltip."""
    text = re.sub(r'(\sid="|url\(#|href="#)(clip|gradient)', rf"\g<1>{prefix}\2", text)
    text = _MARK.sub(r"<path \2><title>\1</title></path>", text)
    text = re.sub(r' (?:aria-[a-z]+|role)="[^"]*"', "", text)
    text = _PLACE.sub(lambda found: re.sub(r"(\.\d)\d+", r"\1", found[0]), text)
    label = html.escape(title, quote=True)

    def opened(found: re.Match[str]) -> str:
        width, height = (f"{float(size):.0f}" for size in found.groups())
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}">'
        )

    return _HEAD.sub(opened, text, count=1)


# -- one score, and several --------------------------------------------------------------------------------------


def forest(rows: Sequence[JSONObject], title: str, *, zero: bool, unit: str, bounds: Any = None) -> str:
    """Values with their intervals, each under its name: `name`, `value`, `low`, `high` (null without one).

    `zero` draws the line of no difference.
    """
    order = [row["name"] for row in rows]
    x: JSONObject = {"type": "quantitative", "axis": {"title": unit, "tickCount": 5, "grid": True}}
    x["scale"] = {"domain": list(bounds)} if bounds else {"zero": zero, "nice": True}
    y = {"field": "name", "type": "nominal", "sort": order, "axis": None, "scale": {"paddingOuter": 0.3}}
    layers: list[JSONObject] = [
        {
            "mark": {"type": "text", "align": "left", "dy": -13, "limit": WIDTH - 10},
            "encoding": {"y": y, "x": {"value": 0}, "text": {"field": "name"}},
        },
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "color": "var(--accent)", "strokeWidth": 3, "strokeCap": "round"},
            "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
        },
        {
            "transform": [{"filter": "isValid(datum.value)"}],
            "mark": {"type": "point", "filled": True, "size": 90, "color": "var(--accent)", "opacity": 1},
            "encoding": {"y": y, "x": {**x, "field": "value"}},
        },
    ]
    if zero:
        line = {
            "mark": {"type": "rule", "color": "var(--muted)", "strokeDash": [4, 3]},
            "encoding": {"x": {"datum": 0}},
        }
        layers.insert(0, line)
    return svg({"data": {"values": list(rows)}, "layer": layers, "height": {"step": 46}}, title)


def curves(profile: JSONObject) -> str:
    """pass@k and pass^k for each k that every scored task has rollouts for, with their intervals."""
    values = [
        {
            "line": name,
            "k": point["k"],
            "value": point["value"],
            "low": (point["new_tasks"] or {}).get("low"),
            "high": (point["new_tasks"] or {}).get("high"),
        }
        for field, name in zip(("pass_at_k", "pass_hat_k"), CURVES, strict=True)
        for point in profile[field]
        if point["all_tasks"]
    ]
    most = max((v["k"] for v in values), default=1)
    scale = {"type": "log", "base": 2} if most > 20 else {"zero": False}
    x: JSONObject = {
        "field": "k",
        "type": "quantitative",
        "scale": scale,
        "axis": {"title": "k attempts", "format": "d"},
    }
    x["axis"]["values"] = [k for k in range(1, most + 1) if most <= 8 or k & (k - 1) == 0 or k == most]
    colour = {
        "field": "line",
        "type": "nominal",
        "sort": None,
        "legend": None,
        "scale": {"domain": list(CURVES), "range": ["var(--accent)", "var(--second)"]},
    }
    y = {
        "type": "quantitative",
        "scale": {"domain": [0, 1]},
        "axis": {"title": None, "format": "%", "tickCount": 5},
    }
    band = {
        "mark": {"type": "area", "opacity": 0.16},
        "encoding": {
            "x": x,
            "y": {**y, "field": "low"},
            "y2": {"field": "high"},
            "color": colour,
        },
    }
    line = {
        "mark": {"type": "line", "point": {"size": 40}, "strokeWidth": 2},
        "encoding": {"x": x, "y": {**y, "field": "value"}, "color": colour},
    }
    return svg({"data": {"values": values}, "layer": [band, line], "height": 210}, "Any of k, and all of k, pass")


# -- distributions -----------------------------------------------------------------------------------------------


def histogram(values: Sequence[float], title: str, unit: str) -> str | None:
    """How often which amount was seen; None without two different ones. The last bar holds the top percent too."""
    known = sorted(v for v in values if isfinite(v))
    if len(known) < 2 or known[0] == known[-1]:
        return None
    low, high = known[0], known[min(len(known) - 1, int(len(known) * 0.99))]
    high = high if high > low else known[-1]
    whole = all(v == int(v) for v in known[:1000]) and high - low < _BINS
    width = 1.0 if whole else (high - low) / _BINS
    size = int(high - low) + 1 if whole else _BINS
    counts = [0] * size
    for v in known:
        counts[min(size - 1, int((v - low) / width))] += 1
    start = low - 0.5 if whole else low  # a whole number stands in the middle of its bar
    rows = [{"from": start + i * width, "to": start + (i + 1) * width, "n": n} for i, n in enumerate(counts)]
    spec = {
        "data": {"values": rows},
        "height": 130,
        "mark": {"type": "bar", "color": "var(--accent)", "binSpacing": 1},
        "encoding": {
            "x": {
                "field": "from",
                "type": "quantitative",
                "bin": {"binned": True},
                "axis": {"title": unit, "tickCount": 5},
            },
            "x2": {"field": "to"},
            "y": {"field": "n", "type": "quantitative", "axis": {"title": None, "tickCount": 3, "format": "~s"}},
        },
    }
    return svg(spec, title)


# -- tasks x repeats ---------------------------------------------------------------------------------------------


def heat_map(rows: Sequence[tuple[str, Sequence[str]]], title: str, *, row_height: int, labels: bool) -> str:
    """One panel: a row for each task (id, states of its repeats). Of small cells, equal neighbours are one."""
    repeats = max(len(states) for _, states in rows)
    apart = row_height >= 8 and repeats <= _APART
    values = [
        {"t": i, "a": start, "b": end, "s": state, "d": f"{name}, attempt {start + 1}: {NAMES[state]}"}
        for i, (name, states) in enumerate(rows)
        for start, end, state in (_each(states) if apart else _runs(states))
    ]
    mark: JSONObject = {"type": "rect", "aria": labels}
    if apart:
        mark |= {"stroke": "var(--bg)", "strokeWidth": 1.5}
    spec = {
        "data": {"values": values},
        "height": row_height * len(rows),
        "mark": mark,
        "encoding": {
            "y": {
                "field": "t",
                "type": "ordinal",
                "axis": _names([name for name, _ in rows], row_height) if labels else None,
                "scale": {"domain": list(range(len(rows))), "padding": 0},
            },
            "x": {
                "field": "a",
                "type": "quantitative",
                "scale": {"domain": [0, repeats], "nice": False},
                "axis": None,
            },
            "x2": {"field": "b"},
            "description": {"field": "d"},
            "color": {
                "field": "s",
                "type": "nominal",
                "legend": None,
                "scale": {"domain": list(STATES), "range": [f"var(--{state})" for state in STATES]},
            },
        },
    }
    return svg(spec, title)


def _names(names: Sequence[str], row_height: int) -> JSONObject:
    """An axis of names: they go into its Vega expression as JSON strings, never as code."""
    return {
        "title": None,
        "labelExpr": f"{orjson.dumps(list(names)).decode()}[datum.value]",
        "labelLimit": 94,  # fonts differ: some are a fifth wider than what is measured here
        "minExtent": 116,
        "labelFontSize": min(11, row_height - 2),
        "ticks": False,
        "domain": False,
        "labelPadding": 4,
    }


def _runs(states: Sequence[str]) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    for i, state in enumerate(states):
        if found and found[-1][2] == state:
            found[-1] = (found[-1][0], i + 1, state)
        else:
            found.append((i, i + 1, state))
    return found


def _each(states: Sequence[str]) -> list[tuple[int, int, str]]:
    return [(i, i + 1, state) for i, state in enumerate(states)]
