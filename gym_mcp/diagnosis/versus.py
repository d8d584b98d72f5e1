"""What changed since another run of the same tasks, and where."""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum
from typing import Final

from gym_mcp.analysis.compare import compare
from gym_mcp.diagnosis.ability import fields, label_of
from gym_mcp.diagnosis.finding import SHOWN, Finding, Scale, finding
from gym_mcp.diagnosis.scan import Scan
from gym_mcp.metrics.multiplicity import holm
from gym_mcp.metrics.signflip import sign_flip
from gym_mcp.types import JSONObject

LEVEL: Final = 0.05


def versus(s: Scan, before: Scan, scale: Scale) -> tuple[list[Finding], JSONObject]:
    """Findings of `s` against an earlier run, and the comparison that they rest on."""
    found = compare([before.run, s.run], intersect=True, across_prompts=True)
    contrast = found["contrasts"][0]
    contrast["flips"] = contrast["flips"][:50]
    findings = [*_overall(s, scale, contrast), *_by_category(s, before, scale), *_prompts(s, before, scale)]
    findings += _failures(s, before, scale)
    return findings, contrast


def _index(s: Scan) -> dict[str, int]:
    return {t.id: i for i, t in enumerate(s.tasks)}


def _means(s: Scan) -> dict[str, float]:
    return {
        t.id: fsum(f.passed for f in rows) / len(rows) for i, t in enumerate(s.tasks) if (rows := s.of_task(i))
    }


def _overall(s: Scan, scale: Scale, contrast: JSONObject) -> Iterator[Finding]:
    code = contrast["verdict"]["code"]
    if code not in ("a_better", "b_better"):
        return
    worse = code == "a_better"
    ids = _index(s)
    drivers = [r for r in contrast["flips"] if (r["delta"] < 0) == worse and r["task_id"] in ids]
    rows = [f for r in drivers for f in s.of_task(ids[r["task_id"]]) if f.failing == worse]
    found = finding(
        scale,
        "regressed" if worse else "improved",
        "KG",
        contrast["verdict"]["text"],
        rows,
        contrast["tasks"],
        unit="tasks",
        confidence="high" if contrast["cause"] else "medium",
        details={"difference": contrast["difference"], "p": contrast["p"], "causes": contrast["causes"]},
        intervention="training",
        advice="read the tasks that turned, the largest change first",
    )
    found.tasks = [r["task_id"] for r in drivers[:SHOWN]]
    yield found


def _by_category(s: Scan, before: Scan, scale: Scale) -> Iterator[Finding]:
    """Kinds of task whose pass rate fell: sign-flip tests of paired task means, Holm over all kinds."""
    now, then = _means(s), _means(before)
    tests = []
    for field in fields(s):
        groups: dict[str, list[int]] = {}
        for i, task in enumerate(s.tasks):
            if task.id in now and task.id in then:
                groups.setdefault(label_of(s, i, field), []).append(i)
        for value, indexes in sorted(groups.items()):
            gaps = [now[s.tasks[i].id] - then[s.tasks[i].id] for i in indexes]
            rest = [
                now[t.id] - then[t.id]
                for i, t in enumerate(s.tasks)
                if t.id in now and t.id in then and i not in set(indexes)
            ]
            tests.append(
                (
                    field,
                    value,
                    indexes,
                    fsum(gaps) / len(gaps),
                    fsum(rest) / len(rest) if rest else 0.0,
                    sign_flip(gaps).p,
                )
            )
    adjusted = holm([t[-1] for t in tests])
    for (field, value, indexes, gap, rest_gap, _), p in zip(tests, adjusted, strict=True):
        if p >= LEVEL or gap >= 0.0 or gap >= rest_gap:
            continue
        rows = [f for i in indexes for f in s.of_task(i) if f.failing]
        found = finding(
            scale,
            "category_regressed",
            "KG",
            f"`{field}` = {value}: passes less often than before",
            rows,
            sum(len(s.of_task(i)) for i in indexes),
            key=f"{field}={value}",
            details={
                "field": field,
                "value": value,
                "difference": gap,
                "difference_of_others": rest_gap,
                "p_holm": p,
            },
            advice="compare what was trained on or changed for this kind",
        )
        found.tasks = [s.tasks[i].id for i in indexes[:SHOWN]]
        yield found


def _prompts(s: Scan, before: Scan, scale: Scale) -> Iterator[Finding]:
    then = {t.id: t for t in before.tasks}
    for kind, title, test in (
        ("prompt_cut_since", "The prompt is a beginning of what it was before", "cut"),
        ("key_changed_since", "The key is another than before", "key"),
    ):
        indexes = []
        for i, task in enumerate(s.tasks):
            old = then.get(task.id)
            if old is None:
                continue
            cut = task.prompt != old.prompt and old.prompt.startswith(task.prompt.rstrip())
            if cut if test == "cut" else old.prompt == task.prompt and old.key != task.key:
                indexes.append(i)
        if indexes:
            rows = [f for i in indexes for f in s.of_task(i)]
            found = finding(scale, kind, "DA", title, rows, len(s.tasks), unit="tasks", suspect=True)
            found.count, found.tasks = len(indexes), [s.tasks[i].id for i in indexes[:SHOWN]]
            yield found


def _failures(s: Scan, before: Scan, scale: Scale) -> Iterator[Finding]:
    """Tools that err more often than before, two proportions apart by more than chance (Wilson intervals)."""
    from gym_mcp.metrics.intervals import wilson_interval

    for tool, use in sorted(s.tools.items()):
        old = before.tools.get(tool)
        if old is None or not use.calls or not old.calls:
            continue
        now_bad, then_bad = sum(use.errors.values()), sum(old.errors.values())
        low, _ = wilson_interval(now_bad, use.calls)
        _, high = wilson_interval(then_bad, old.calls)
        if low > high and now_bad >= 3:
            yield finding(
                scale,
                "tool_errors_rose",
                "IR",
                f"`{tool}` errs more often than before",
                s.at(use.error_slots),
                sum(1 for f in s.present if f.calls),
                key=tool,
                suspect=True,
                confidence="medium",
                details={
                    "tool": tool,
                    "errors": now_bad,
                    "calls": use.calls,
                    "errors_before": then_bad,
                    "calls_before": old.calls,
                },
            )
