"""A report as Markdown: for a pull request, an issue, a wiki. Tables and text, no charts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gym_mcp.analysis.verdict import p_text
from gym_mcp.report.cells import with_states
from gym_mcp.report.clean import clean, line
from gym_mcp.report.collect import Example, RunReport
from gym_mcp.report.page import EFFORT, number_span, points, points_span, provenance, signed, signed_span
from gym_mcp.report.transcripts import TEXT, task_data, transcript
from gym_mcp.report.words import headline, number, percent, span
from gym_mcp.types import JSONObject

TASKS: Final = 200
_ACTIVE: Final = re.compile(r"([\\`*_{}\[\]<>#|~&@$]|:(?=//)|(?<=www)\.)", re.IGNORECASE)


def render(
    reports: Sequence[RunReport], comparison: JSONObject | None, refusal: str = "", *, with_answers: bool = False
) -> str:
    """The report of one run or several; `comparison` is what `eval compare` says of them."""
    parts: list[str] = []
    if comparison is not None:
        parts += _comparison(comparison)
    if refusal:
        parts.append(f"The runs are not compared: {text(refusal)}")
    for report in reports:
        parts += _run(report, with_answers)
    return "\n\n".join(parts) + "\n"


def text(value: str, limit: int = 300) -> str:
    """Text that means only itself, on one line: nothing in it is markup, a link or a mention."""
    return _ACTIVE.sub(r"\\\1", line(value, limit))


def code(value: str) -> str:
    """A block of text under a fence that is longer than any in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", value)), default=0))
    return f"{fence}text\n{value}\n{fence}"


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown already."""
    lines = ["| " + " | ".join(headers) + " |", "|" + " --- |" * len(headers)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _comparison(found: JSONObject) -> Iterator[str]:
    yield "# Comparison"
    for c in found["contrasts"]:
        yield f"**{text(c['verdict']['text'], 1_000)}**"
        if c["notes"]:
            yield "\n".join(f"- {text(note, 1_000)}" for note in c["notes"])
    share = found["metric"] == "pass"
    show, show_span = (percent, span) if share else (number, number_span)
    change, change_span = (points, points_span) if share else (signed, signed_span)
    name, unit = ("solved", "points") if share else (text(found["metric"]),) * 2
    yield table(
        ("run", name, "95% CI, new tasks", "failed", "failed as worst"),
        (
            (
                text(a["name"]),
                show(a["failed_excluded"]["value"]),
                show_span(a["failed_excluded"]["new_tasks"]),
                str(sum(a["failed"].values())),
                show(a["failed_as_worst"]["value"]),
            )
            for a in found["arms"]
        ),
    )
    yield table(
        ("difference", unit, "95% CI", "p, Holm" if len(found["contrasts"]) > 1 else "p", "what changed"),
        (
            (
                f"{text(c['b'])} less {text(c['a'])}",
                change(c["difference"]),
                change_span(c.get("new_tasks")),
                p_text(c["p_holm"]),
                text(", ".join(c["causes"]) or "nothing that decides results"),
            )
            for c in found["contrasts"]
        ),
    )


def _run(report: RunReport, with_answers: bool) -> Iterator[str]:
    profile = report.profile
    passes = profile["score"]["pass"]["failed_excluded"]
    yield f"# {text(report.title)}"
    yield f"**pass@1 {percent(passes['value'])}** (95% CI {span(passes['new_tasks'])})"
    yield " ".join(headline(profile))
    if profile["notes"]:
        yield "\n".join(f"- {text(note, 1_000)}" for note in profile["notes"])
    yield table(("", ""), _numbers(profile))
    pairs = list(zip(profile["pass_at_k"], profile["pass_hat_k"], strict=True))
    if len(pairs) > 1:
        yield "## With k attempts"
        curve = (
            (str(a["k"]), percent(a["value"]), span(a["new_tasks"]), percent(b["value"]))
            for a, b in pairs
            if a["all_tasks"]
        )
        yield table(("k", "any passes", "95% CI", "all pass"), curve)
    yield from _tasks(report)
    if report.failures:
        yield "## Failures"
        yield table(
            ("kind", "rollouts", "message"),
            ((f.kind, str(n), text(m)) for f in report.failures for m, n in f.messages),
        )
    if report.examples:
        yield "## Transcripts"
        for example in report.examples:
            yield from _example(example, with_answers)
    yield "## Where this comes from"
    yield table(("", ""), ((name, text(value, 1_000)) for name, value in provenance(report)))


def _numbers(profile: JSONObject) -> list[tuple[str, str]]:
    buckets, counts = profile["buckets"], profile["counts"]
    rewards = profile["score"]["reward"]["failed_excluded"]
    rows = [
        ("mean reward", f"{number(rewards['value'])} ({span(rewards['new_tasks'], as_percent=False)})"),
        (
            "tasks that pass always / sometimes / never",
            f"{buckets['always']} / {buckets['sometimes']} / {buckets['never']}",
        ),
        (
            "rollouts scored / failed / expected",
            f"{counts['scored']} / {sum(counts['failed'].values())} / {counts['expected']}",
        ),
    ]
    for key, name, _, show in EFFORT:
        f = profile["fields"].get(key)
        if f and f["max"]:
            rows.append(
                (name, f"median {show(f['median'])}, 95th percentile {show(f['p95'])}, in all {show(f['sum'])}")
            )
    rows += [
        (f"component {text(k.partition('.')[2])}", number(f["mean"]))
        for k, f in profile["fields"].items()
        if k.startswith("components.")
    ]
    return rows


def _tasks(report: RunReport) -> Iterator[str]:
    yield "## Tasks"
    tasks = with_states(report)
    step = max(1, -(-len(tasks) // TASKS))
    note = f" One in {step} of {len(tasks):,} tasks." if step > 1 else ""
    yield f"The best first; P full score, 3 2 1 0 quarters of the range, x failed, · missing.{note}"
    yield table(
        ("task", "solved", "mean reward", "attempts"),
        ((text(t["task_id"], 80), f"{t['c']} of {t['n']}", number(t["mean"]), t["marks"]) for t in tasks[::step]),
    )


def _example(example: Example, with_answers: bool) -> Iterator[str]:
    row, task = example.row, example.task
    yield f"### {text(example.why)}: {text(str(row['task_id']), 80)}, attempt {row['repeat'] + 1}"
    reward = number(row["reward"]) if row["outcome"] == "scored" else text(row["failure"]["message"])
    yield f"{row['outcome']}: {reward}"
    for block in transcript(task, row):
        images = f" ({len(block.images)} images)" if block.images else ""
        yield f"*{text(block.title or block.kind)}{images}*\n\n{code(block.text)}"
    if with_answers:
        yield "*the task's data, which the agent did not see*"
        yield code(task_data(task))
        if row.get("notes"):
            yield f"*verifier's notes*\n\n{code(clean(str(row['notes']), TEXT))}"
