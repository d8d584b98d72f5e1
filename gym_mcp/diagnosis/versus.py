"""What changed since another run of the same tasks, and where."""

from __future__ import annotations

from collections.abc import Iterator
from math import erfc, fsum, sqrt
from typing import Final

from gym_mcp.analysis.compare import compare
from gym_mcp.diagnosis.ability import fields, label_of
from gym_mcp.diagnosis.finding import SHOWN, Finding, Scale, finding
from gym_mcp.diagnosis.scan import Scan, of_tasks
from gym_mcp.metrics.intervals import wilson_interval
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


Counts = tuple[int, int]
"""Scored rollouts of a task, and how many of them passed."""


def _counts(s: Scan) -> dict[str, Counts]:
    scale = s.scale
    found = zip(scale.ids, scale.scored, scale.passed, strict=True)
    return {id_: (n, c) for id_, n, c in found if n}


def _rate(counts: Counts) -> float:
    return counts[1] / counts[0]


def _mean(values: list[float]) -> float:
    return fsum(values) / len(values) if values else 0.0


def _fell(gaps: list[float], pairs: list[tuple[Counts, Counts]]) -> float:
    """p of no change on these tasks: the sign-flip test of their means, or, where tasks were repeated, the smaller
    of twice that and twice the stratified test of Mantel and Haenszel (1959), tasks as strata."""
    flips = sign_flip(gaps).p
    if all(n == m == 1 for (n, _), (m, _) in pairs):
        return flips
    excess = variance = 0.0
    for (n, c), (m, d) in pairs:
        whole, passed = n + m, c + d
        excess += c - n * passed / whole
        variance += n * m * passed * (whole - passed) / (whole * whole * (whole - 1))
    if variance <= 0.0:
        return flips
    stratified = erfc(max(0.0, abs(excess) - 0.5) / sqrt(2 * variance))
    return min(1.0, 2 * min(flips, stratified))


def _overall(s: Scan, scale: Scale, contrast: JSONObject) -> Iterator[Finding]:
    code = contrast["verdict"]["code"]
    if code not in ("a_better", "b_better"):
        return
    worse = code == "a_better"
    ids = _index(s)
    drivers = [r for r in contrast["flips"] if (r["delta"] < 0) == worse and r["task_id"] in ids]
    rows = [f for r in drivers for f in s.of_task(ids[r["task_id"]]) if f.failing == worse]
    yield finding(
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
        tasks=[r["task_id"] for r in drivers[:SHOWN]],
    )


def _by_category(s: Scan, before: Scan, scale: Scale) -> Iterator[Finding]:
    """Kinds of task whose pass rate fell; Holm over all kinds of all fields."""
    counts = _counts(s), _counts(before)
    shared = {i: t.id for i, t in enumerate(s.tasks) if t.id in counts[0] and t.id in counts[1]}
    gaps = {i: _rate(counts[0][id_]) - _rate(counts[1][id_]) for i, id_ in shared.items()}
    tests = []
    for field in fields(s):
        groups: dict[str, list[int]] = {}
        for i in shared:
            groups.setdefault(label_of(s, i, field), []).append(i)
        for value, indexes in sorted(groups.items()):
            own = set(indexes)
            rest = [gap for i, gap in gaps.items() if i not in own]
            p = _fell([gaps[i] for i in indexes], [(counts[0][shared[i]], counts[1][shared[i]]) for i in indexes])
            tests.append((field, value, indexes, _mean([gaps[i] for i in indexes]), _mean(rest), p))
    adjusted = holm([t[-1] for t in tests])
    for (field, value, indexes, gap, rest_gap, _), p in zip(tests, adjusted, strict=True):
        if p >= LEVEL or gap >= 0.0 or gap >= rest_gap:
            continue
        rows = [f for i in indexes for f in s.of_task(i) if f.failing]
        yield finding(
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
            tasks=[s.tasks[i].id for i in indexes[:SHOWN]],
        )


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
            yield of_tasks(s, scale, kind, "DA", title, indexes, len(s.tasks), suspect=True)


def _failures(s: Scan, before: Scan, scale: Scale) -> Iterator[Finding]:
    """Tools that err more often than before, two proportions apart by more than chance (Wilson intervals)."""
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
