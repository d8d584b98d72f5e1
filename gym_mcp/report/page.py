"""A report as one HTML file that loads nothing and runs nothing. All text goes through the template's escaping."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gym_mcp import __version__
from gym_mcp.analysis.compare import arm_names
from gym_mcp.analysis.verdict import p_text
from gym_mcp.errors import UsageError
from gym_mcp.report import charts
from gym_mcp.report.cells import legend, with_states
from gym_mcp.report.clean import clean, line
from gym_mcp.report.collect import Example, RunReport
from gym_mcp.report.transcripts import task_data, transcript
from gym_mcp.report.words import headline, money, number, percent, seconds, span
from gym_mcp.types import JSONObject

LABELLED: Final = 120
"""Up to so many tasks the heat map names its rows."""
PANEL: Final = 40
SMALL_PANELS: Final = 3
MOST_TASKS: Final = 2_500
"""Rows of the heat map and its table; of more tasks, every so manieth is drawn."""
EFFORT: Final = (
    ("timing.seconds", "time", "seconds", seconds),
    ("usage.cost", "model cost", "US dollars", money),
    ("usage.model_calls", "model calls", "calls", number),
    ("usage.input_tokens", "input tokens", "tokens", number),
    ("usage.output_tokens", "output tokens", "tokens", number),
    ("tool_calls", "tool calls", "calls", number),
    ("tool_errors", "tool errors", "calls", number),
    ("judge_usage.cost", "judge cost", "US dollars", money),
)
_DRAWN: Final = ("timing.seconds", "usage.cost", "usage.output_tokens", "usage.model_calls", "tool_calls")
_PROVENANCE: Final = (
    "environment",
    "verifier",
    "options",
    "tasks",
    "harness",
    "harness_options",
    "model",
    "sampling",
)


def render(
    reports: Sequence[RunReport], comparison: JSONObject | None, refusal: str = "", *, with_answers: bool = False
) -> str:
    """The page of one run or several; `comparison` is what `eval compare` says of them."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise UsageError(charts.EXTRA) from None
    folder = Path(__file__).parent
    loader = FileSystemLoader(folder)
    jinja = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    jinja.filters |= {
        "percent": percent,
        "number": number,
        "span": span,
        "number_span": number_span,
        "p": p_text,
        "line": line,
    }
    several = len(reports) > 1
    names = arm_names([r.run for r in reports]) if several else [reports[0].title]
    runs = [
        _run(report, f"run{i}", line(name, 120), with_answers)
        for i, (report, name) in enumerate(zip(reports, names, strict=True))
    ]
    kinds = {str(report.profile["run"]["environment"]) for report in reports}
    title = f"{len(runs)} runs of {line(', '.join(sorted(kinds)), 80)}" if several else runs[0]["title"]
    return jinja.get_template("page.html.j2").render(
        title=title,
        subtitle=", ".join(run["title"] for run in runs) if several else runs[0]["subtitle"],
        css=_safe((folder / "page.css").read_text(encoding="utf-8")),
        sections=_sections(runs, bool(comparison)),
        comparison=_comparison(comparison) if comparison else None,
        refusal=refusal,
        runs=runs,
        version=__version__,
        with_answers=with_answers,
    )


def _safe(markup: str) -> Any:
    """Markup of our own making, which the template must not escape: stylesheet and charts."""
    from markupsafe import Markup

    return Markup(markup)


def points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}"


def points_span(interval: JSONObject | None) -> str:
    return "–" if interval is None else f"{points(interval['low'])} to {points(interval['high'])}"


def signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3g}"


def signed_span(interval: JSONObject | None) -> str:
    return "–" if interval is None else f"{signed(interval['low'])} to {signed(interval['high'])}"


def number_span(interval: JSONObject | None) -> str:
    return span(interval, as_percent=False)


def _sections(runs: Sequence[JSONObject], compared: bool) -> list[tuple[str, str]]:
    if len(runs) > 1:
        return [*([("comparison", "Comparison")] if compared else []), *((r["anchor"], r["title"]) for r in runs)]
    run = runs[0]
    parts = [("tasks", "Tasks", True), ("effort", "Attempts and effort", run["charts"])]
    parts += [("failures", "Failures", run["failures"]), ("transcripts", "Transcripts", run["examples"])]
    parts.append(("provenance", "Where this comes from", True))
    return [(f"{run['anchor']}-{part}", name) for part, name, there in parts if there]


def _comparison(found: JSONObject) -> JSONObject:
    """The comparison with its charts, and how its numbers are written: shares as percents, others as they are."""
    share = found["metric"] == "pass"
    arms = [
        _whisker(a["name"], a["failed_excluded"]["value"], a["failed_excluded"]["new_tasks"])
        for a in found["arms"]
    ]
    base = found["contrasts"][0]["a"]
    scale = 100.0 if share else 1.0
    differences = [_whisker(c["b"], c["difference"], c.get("new_tasks"), scale) for c in found["contrasts"]]
    known = [d for d in differences if d["value"] is not None]
    unit = "points" if share else found["metric"]
    drawn = charts.forest(known, "Differences with intervals", zero=True, unit=unit) if known else None
    bounds = (0, 1) if share else None
    title = "share of attempts" if share else found["metric"]
    shares = charts.forest(arms, "Scores with intervals", zero=False, unit=title, bounds=bounds)
    contrasts = [{**c, "said": _sentences(c["verdict"]["text"])} for c in found["contrasts"]]
    return {
        **found,
        "contrasts": contrasts,
        "name": "Fully solved" if share else line(found["metric"]),
        "unit": unit,
        "title": title,
        "show": percent if share else number,
        "show_span": span if share else number_span,
        "change": points if share else signed,
        "change_span": points_span if share else signed_span,
        "arms_chart": _safe(shares),
        "contrasts_chart": _safe(drawn) if drawn else None,
        "contrasts_note": f"less {base}",
    }


def _sentences(text: str) -> tuple[str, str]:
    """(the verdict itself, what else there is to say)."""
    first, end, rest = text.partition("). ")
    return f"{first}{end}".strip(), rest


def _whisker(name: str, value: float | None, interval: JSONObject | None, scale: float = 1.0) -> JSONObject:
    ends = interval or {"low": None, "high": None}
    scaled = {
        k: None if v is None else scale * v
        for k, v in (("value", value), ("low", ends["low"]), ("high", ends["high"]))
    }
    return {"name": line(name, 46), **scaled}


# -- one run -----------------------------------------------------------------------------------------------------


def _run(report: RunReport, anchor: str, title: str, with_answers: bool) -> JSONObject:
    profile = report.profile
    shown = with_states(report)
    panels, note = _panels(report, shown)
    return {
        "anchor": anchor,
        "title": title,
        "subtitle": _subtitle(report),
        "passes": profile["score"]["pass"]["failed_excluded"],
        "headline": headline(profile),
        "cards": _cards(report),
        "notes": [note.replace("`", "") for note in profile["notes"]],
        "tasks": shown,
        "table_limit": MOST_TASKS,
        "panels": panels,
        "map_note": note,
        "legend": legend(shown),
        "charts": _charts(report),
        "curve": _curve(profile),
        "effort": [(name, profile["fields"][key], show) for key, name, _, show in EFFORT if _known(profile, key)],
        "components": [
            (k.partition(".")[2], f) for k, f in profile["fields"].items() if k.startswith("components.")
        ],
        "failures": report.failures,
        "examples": [_example(e, report, with_answers) for e in report.examples],
        "provenance": provenance(report),
    }


def _subtitle(report: RunReport) -> str:
    manifest, counts = report.run.manifest, report.profile["counts"]
    size = f"{counts['tasks']:,} tasks × {counts['repeats']} attempts"
    return f"{manifest['created'][:10]} · {size} · seed {manifest['identity'].get('seed')}"


def _known(profile: JSONObject, key: str) -> bool:
    return key in profile["fields"] and bool(profile["fields"][key]["max"])


def _cards(report: RunReport) -> list[tuple[str, str]]:
    profile = report.profile
    reward, buckets, counts = profile["score"]["reward"], profile["buckets"], profile["counts"]
    mean = reward["failed_excluded"]
    cards = [
        (number(mean["value"]), f"mean reward, {span(mean['new_tasks'], as_percent=False)}"),
        (
            f"{buckets['always']} · {buckets['sometimes']} · {buckets['never']}",
            "tasks that pass always · sometimes · never",
        ),
        (
            f"{counts['scored']:,} of {counts['expected']:,}",
            f"rollouts scored; {sum(counts['failed'].values()):,} failed, {counts['missing']:,} missing",
        ),
    ]
    if sum(counts["failed"].values()):
        cards.append((percent(profile["score"]["pass"]["failed_as_worst"]["value"]), "pass@1, failures as worst"))
    fields = profile["fields"]
    if _known(profile, "timing.seconds"):
        cards.append((seconds(fields["timing.seconds"]["median"]), "a rollout takes, median"))
    if _known(profile, "usage.cost"):
        each = money(fields["usage.cost"]["pooled_mean"])
        cards.append((money(fields["usage.cost"]["sum"]), f"model cost in all; {each} a rollout"))
    elif _known(profile, "usage.output_tokens"):
        cards.append((number(fields["usage.output_tokens"]["sum"]), "output tokens in all"))
    return cards


def _panels(report: RunReport, tasks: Sequence[JSONObject]) -> tuple[list[Any], str]:
    """The heat map in panels that fit a phone one by one, and what it shows."""
    step = -(-len(tasks) // MOST_TASKS)
    drawn = tasks[::step]
    labels = len(drawn) <= LABELLED
    per, height = PANEL, 15
    if not labels:
        per = -(-len(drawn) // SMALL_PANELS)
        height = max(2, min(6, 700 // per))
    if labels and len(drawn) > PANEL:
        per = -(-len(drawn) // -(-len(drawn) // PANEL))
    rows = [(line(t["task_id"], 24), t["states"]) for t in drawn]
    parts = [rows[i : i + per] for i in range(0, len(rows), per)]
    note = "A row for each task, the best first; a column for each attempt."
    if step > 1:
        note += f" Of {len(tasks):,} tasks one in {step} is drawn."
    if len(parts) > 1:
        note += " The map goes on in the next panel."
    title = f"Heat map of {len(drawn)} tasks by {report.run.sheet.repeats} attempts; the table below says the same"
    return [_safe(charts.heat_map(p, title, row_height=height, labels=labels)) for p in parts if p], note


def _charts(report: RunReport) -> list[tuple[str, str, Any, Sequence[str]]]:
    profile, sheet = report.profile, report.run.sheet
    found: list[tuple[str, str, Any, Sequence[str]]] = []
    if len([p for p in profile["pass_at_k"] if p["all_tasks"]]) > 1:
        note = "share of tasks, with 95% intervals for new tasks like these"
        found.append(("With k attempts", note, _safe(charts.curves(profile)), charts.CURVES))
    for key, name, unit, show in EFFORT:
        if key not in _DRAWN or not _known(profile, key):
            continue
        f = profile["fields"][key]
        drawn = charts.histogram(sheet.columns[key], f"Distribution of {name}: median {show(f['median'])}", unit)
        if drawn is not None:
            note = f"rollouts by {name}: median {show(f['median'])}, 95th percentile {show(f['p95'])}"
            found.append((name.capitalize(), note, _safe(drawn), ()))
    return found


def _curve(profile: JSONObject) -> list[tuple[JSONObject, JSONObject]]:
    pairs = list(zip(profile["pass_at_k"], profile["pass_hat_k"], strict=True))
    return [(a, b) for a, b in pairs if a["all_tasks"]] if len(pairs) > 1 else []


def _example(e: Example, report: RunReport, with_answers: bool) -> JSONObject:
    row = e.row
    scored = row["outcome"] == "scored"
    slot = report.run.sheet.slot(row)
    passed = scored and slot is not None and bool(report.run.sheet.passes[slot])
    facts = (
        [f"reward {number(row['reward'])}"]
        if scored
        else [f"{row['failure']['kind']}: {line(row['failure']['message'])}"]
    )
    facts += [f"{clean(str(k), 60)} {number(v)}" for k, v in (row.get("components") or {}).items()]
    response = row.get("response") or {}
    facts.append(f"stopped: {line(str(response.get('stop')), 40)}")
    if with_answers and row.get("notes"):
        facts.append(f"verifier: {line(str(row['notes']), 400)}")
    return {
        "why": line(e.why),
        "where": f"{line(str(row['task_id']), 80)}, attempt {row['repeat'] + 1}",
        "tag": "pass" if passed else "fail" if scored else "error",
        "outcome": "solved" if passed else f"reward {number(row['reward'])}" if scored else "failed",
        "facts": " · ".join(facts),
        "blocks": transcript(e.task, row),
        "answer": task_data(e.task) if with_answers else "",
    }


def provenance(report: RunReport) -> list[tuple[str, str]]:
    """What ran, from the manifest."""
    m = report.run.manifest
    identity = m["identity"]
    rows = [("run", f"{m['run_id']}, {m['created']}"), ("directory", str(report.run.path))]
    rows += [("versions", ", ".join(f"{k} {v}" for k, v in m["versions"].items()))]
    rows += [("command", " ".join(map(str, m["command"])))]
    rows += [(name, _plain(identity[name])) for name in _PROVENANCE if identity.get(name)]
    rows += [
        ("seed, repeats", f"{identity.get('seed')}, {identity.get('repeats')}"),
        ("limits", _plain(identity.get("limits"))),
    ]
    if identity.get("judge"):
        rows.append(("judge", _plain(identity["judge"])))
    for note in m.get("reverified", ()):
        rows.append(("scored again", f"{note['at']}: {'; '.join(note['changed']) or 'the same verifier'}"))
    return [(name, clean(value, 2_000)) for name, value in rows]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
