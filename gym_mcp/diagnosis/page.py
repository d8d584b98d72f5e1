"""The analysis as a Markdown page; `findings.json` has everything that it says, and more."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from gym_mcp.types import JSONObject

NAMED: Final = 5


def page(a: JSONObject) -> str:
    """The page. Text from the run is shown as code: it can neither format nor link."""
    run = a["run"]
    parts = [
        f"# Analysis of {_text(run['benchmark'] or run['environment'])} with {_text(run['model'])}",
        _summary(a),
        "## What was there",
        _bullets(f"{_code(x['file'])}: {'present' if x['present'] else 'absent'}" for x in a["artifacts"]),
        "## Counts and scores",
        _table(("what", "value"), _counts(a)),
        "## How far rollouts got",
        _table(
            ("stage", "rollouts", "of the stage before", "95% CI", "of all"),
            (
                (
                    x["stage"],
                    f"{x['rollouts']} of {x['of']}",
                    _percent(x["survival"]),
                    _range(x["interval"]),
                    _percent(x["of_expected"]),
                )
                for x in a["funnel"]
            ),
        ),
        "## Findings",
        _findings(a["findings"]),
        *(_finding(f) for f in a["findings"]),
        "## Error patterns",
        _table(
            ("count", "rollouts", "from", "template"),
            ((p["count"], p["rollouts"], _code(p["where"]), _code(p["template"])) for p in a["error_patterns"]),
        ),
        "## Where passing and failing rollouts part",
        _contrasts(a["contrasts"]),
        "## Cost of failure",
        _table(
            ("rollouts that", "rollouts", "tokens", "USD", "tool calls", "tool errors"),
            (
                (
                    name.replace("_", " "),
                    c["rollouts"],
                    c["tokens"],
                    f"{c['cost']:g}",
                    c["tool_calls"],
                    c["tool_errors"],
                )
                for name, c in a["cost"].items()
            ),
        ),
        *_against(a["against"]),
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def _summary(a: JSONObject) -> str:
    suspects = [f for f in a["findings"] if f["suspect"]]
    score = a["score"]["pass"]["failed_excluded"]
    if score["value"] is None:
        first = "No rollout has a score"
    else:
        first = f"pass@1 is {_percent(score['value'])} over {score['tasks']} tasks"
    if score["new_tasks"]:
        first += f" (95% CI {_range(score['new_tasks'])})"
    if not suspects:
        return f"{first}. Nothing found points at anything but the agent."
    worst = suspects[0]
    point = "1 finding points" if len(suspects) == 1 else f"{len(suspects)} findings point"
    return (
        f"{first}. {point} at something other than the agent; read before quoting the score. "
        f"First: {_text(worst['title'])} ({worst['count']} of {worst['of']} {worst['unit']})."
    )


def _counts(a: JSONObject) -> list[tuple[str, str]]:
    c, b = a["counts"], a["buckets"]
    kinds = ", ".join(f"{k} {n}" for k, n in c["failed"].items())
    rows = [
        ("expected rollouts", f"{c['expected']} ({c['tasks']} tasks x {c['repeats']})"),
        ("scored / failed / missing", f"{c['scored']} / {sum(c['failed'].values())} / {c['missing']}"),
        ("failures by kind", kinds or "none"),
        ("tasks that always / sometimes / never pass", f"{b['always']} / {b['sometimes']} / {b['never']}"),
        ("pass@1, failed as worst", _percent(a["score"]["pass"]["failed_as_worst"]["value"])),
        ("mean reward", f"{a['score']['reward']['failed_excluded']['value']:.4g}" if c["scored"] else "-"),
    ]
    return rows + [(f"pass@{p['k']}", _percent(p["value"])) for p in a["pass_at_k"] if p["k"] > 1]


def _findings(findings: list[JSONObject]) -> str:
    if not findings:
        return "None."
    return _table(
        ("finding", "class", "shown by", "confidence", "could turn at most", "what to do"),
        (
            (
                _code(f["id"]),
                f["class"],
                f"{f['count']} of {f['of']} {f['unit']}",
                f["confidence"],
                f"{f['tasks_could_turn']} tasks, {f['points']:g} points",
                f"{f['intervention']}: {f['advice']}",
            )
            for f in findings
        ),
    )


def _finding(f: JSONObject) -> str:
    lines = [f"### {_code(f['id'])}", f"{_text(f['title']).removesuffix('.')}."]
    facts = [f"class: {f['class']}" + (", suspect" if f["suspect"] else "")]
    if f["interval"]:
        low, high = f["interval"]
        facts.append(f"{f['count']} of {f['of']} {f['unit']}, 95% CI {100 * low:.1f}% to {100 * high:.1f}%")
    facts += [f"{k.replace('_', ' ')}: {_code(_value(v)[:300])}" for k, v in sorted(f["details"].items())]
    if f["rollouts"]:
        more = f" and {f['count'] - NAMED} more" if f["count"] > NAMED else ""
        facts.append("for example " + ", ".join(map(_code, f[f["unit"]][:NAMED])) + more)
        if f["unit"] == "tasks":
            facts.append("read " + ", ".join(map(_code, f["rollouts"][:NAMED])))
    return "\n\n".join([*lines, _bullets(facts)])


def _value(value: Any) -> str:
    """A detail in few words: four digits of a number, lists and tables without quotes."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "; ".join(f"{k}: {_value(v)}" for k, v in value.items())
    return ", ".join(map(_value, value)) if isinstance(value, list) else str(value)


def _contrasts(pairs: list[JSONObject]) -> str:
    if not pairs:
        return "No task has both."
    return _table(
        ("task", "same until event", "the passing one then", "the failing one then"),
        (
            (
                _code(p["task_id"]),
                p["shared_events"],
                _code(p["passed_next"] or "(ends)"),
                _code(p["failed_next"] or "(ends)"),
            )
            for p in pairs
        ),
    )


def _against(contrast: JSONObject | None) -> list[str]:
    if contrast is None:
        return []
    turned = _table(
        ("task", "before", "now"),
        ((_code(r["task_id"]), _percent(r["a"]), _percent(r["b"])) for r in contrast["flips"][:20]),
    )
    notes = _bullets(contrast["notes"]) if contrast["notes"] else ""
    return ["## Against the earlier run", contrast["verdict"]["text"], notes, turned if contrast["flips"] else ""]


def _table(headers: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = list(headers)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _code(text: str) -> str:
    """Text as code on one line, safe inside a table."""
    flat = " ".join(text.split()).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", flat)), default=0)
    fence, pad = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def _text(text: str) -> str:
    """Text of ours with quoted bits of the run; only what would break the page is escaped."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join(text.split())).replace("|", "\\|")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}%"


def _range(interval: JSONObject | None) -> str:
    return "-" if interval is None else f"{100 * interval['low']:.1f}% to {100 * interval['high']:.1f}%"
