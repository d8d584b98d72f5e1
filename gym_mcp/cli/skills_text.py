"""The report of an experiment with skills as a page of text."""

from __future__ import annotations

from typing import Any, Final

from gym_mcp.cli.common import table, width
from gym_mcp.cli.compare import contrast_lines, range_text, signed_text, tasks_text, value_text

_COSTS: Final = {
    "usage.input_tokens": "input tokens",
    "usage.output_tokens": "output tokens",
    "usage.cost": "US dollars",
    "usage.model_calls": "model calls",
    "tool_calls": "tool calls",
    "timing.seconds": "seconds",
}


def page(found: dict[str, Any]) -> str:
    """Arms, warnings, and each pair of arms."""
    percent = found["metric"] == "pass"
    parts = [_arms(found, percent)]
    if several := _skills(found):
        parts += ["", several]
    parts += ["", *(f"! {warning['text']}" for warning in found["warnings"])] if found["warnings"] else []
    for contrast in found["contrasts"]:
        parts += ["", *contrast_lines(contrast, percent, len(found["contrasts"]), 0)]
        parts += [*_power(contrast, percent), *_as_treated(contrast, percent), *_costs(contrast)]
    return "\n".join(parts)


def _arms(found: dict[str, Any], percent: bool) -> str:
    headers = ("arm", "scored", "failed", found["metric"], "95% CI", "offered", "loaded", "first loaded")
    rows = []
    for arm in found["arms"]:
        score, use = arm["failed_excluded"], arm["activation"]
        kinds = ", ".join(f"{kind} {count}" for kind, count in arm["failed"].items())
        rows.append(
            (
                arm["name"],
                f"{arm['scored']} of {arm['expected']}",
                kinds or "0",
                value_text(score["value"], percent),
                range_text(score["new_tasks"], percent),
                _share(use["offered"], arm),
                _share(use["loaded"], arm) + (f" ({use['unknown']} unknown)" if use["unknown"] else ""),
                _first(use["first_loaded"]),
            )
        )
    return table(headers, rows, limit=width())


def _share(share: dict[str, Any], arm: dict[str, Any]) -> str:
    if not arm["names"] or share["value"] is None:
        return "-"
    return f"{value_text(share['value'], True)} {range_text(share['new_tasks'], True)}"


def _first(first: dict[str, Any]) -> str:
    return "-" if first["turn"] is None else f"turn {first['turn']:g}, {first['seconds']:.1f} s"


def _skills(found: dict[str, Any]) -> str:
    """Rollouts by skill, where an arm has several."""
    rows = [
        (arm["name"], skill, *(str(seen[what]) for what in ("offered", "asked", "loaded", "unknown")))
        for arm in found["arms"]
        for skill, seen in arm["activation"]["skills"].items()
        if len(arm["names"]) > 1
    ]
    return (
        table(("arm", "skill", "offered", "asked for", "loaded", "unknown"), rows, limit=width()) if rows else ""
    )


def _power(c: dict[str, Any], percent: bool) -> list[str]:
    if not c.get("detectable"):
        return []
    amount = signed_text(c["detectable"], percent).lstrip("+")
    return [f"  could be seen     {amount}, 4 times in 5, with as many tasks"]


def _as_treated(c: dict[str, Any], percent: bool) -> list[str]:
    if c["as_treated"] is None:
        return []
    lines = []
    for what, label in (("loaded", "where loaded"), ("not_loaded", "where not loaded")):
        part = c["as_treated"][what]
        if part["tasks"]:
            shown = (
                f"{signed_text(part['difference'], percent)} {range_text(part['new_tasks'], percent, '95% CI ')}"
            )
            lines.append(f"  {label:<16}  {shown} over {tasks_text(part['tasks'])}")
    return [*lines, "                    as treated, not randomised: the agent chose when"] if lines else []


def _costs(c: dict[str, Any]) -> list[str]:
    if not c["costs"]:
        return []
    headers = ("cost a rollout", c["a"], c["b"], "difference", "95% CI")
    rows = [
        (
            label,
            *(f"{cost[k]:,.4g}" for k in ("a", "b")),
            f"{cost['difference']:+,.4g}",
            range_text(cost["new_tasks"], False),
        )
        for name, label in _COSTS.items()
        if (cost := c["costs"].get(name))
    ]
    return [f"  {line}" for line in table(headers, rows).splitlines()]
