"""Scores of groups of tasks, or of rollouts by one of their components."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import fsum, isnan, sqrt
from typing import Any, Final

from gym_mcp.analysis.estimates import as_json, estimate, new_tasks
from gym_mcp.analysis.read import Run, dotted
from gym_mcp.analysis.sheet import FAILED, SCORED, Sheet
from gym_mcp.errors import UsageError
from gym_mcp.metrics.multiplicity import holm
from gym_mcp.metrics.scores import TaskScores
from gym_mcp.metrics.student import t_cdf
from gym_mcp.suggest import did_you_mean
from gym_mcp.types import JSONObject

MOST: Final = 100
NONE: Final = "(none)"


def groups_by(run: Run, field: str) -> JSONObject:
    """The groups of `field`, each with its scores and how it differs from the rest.

    `field`: a dotted field of a task (`data.difficulty`), or a component of the reward (`components.x`): then
    rollouts are grouped, by what came out of them.
    """
    outcome = field.startswith("components.")
    group_of = _by_component(run, field) if outcome else _by_task(run, field)
    slots: dict[str, list[int]] = {}
    for slot, state in enumerate(run.sheet.state):
        if state:
            slots.setdefault(group_of(slot), []).append(slot)
    if len(slots) > MOST:
        raise UsageError(f"--by {field}: {len(slots)} different values, at most {MOST} make groups")
    names = sorted(slots, key=_natural)
    level = 1 - 0.05 / max(1, len(names))
    passes = [_scores(run.sheet, slots[name], "pass") for name in names]
    rows = [_group(run.sheet, name, slots[name], p, level) for name, p in zip(names, passes, strict=True)]
    _against_rest(rows, [p.means for p in passes])
    return {"field": field, "of_rollouts": outcome, "simultaneous_level": level, "groups": rows}


def _by_task(run: Run, field: str) -> Callable[[int], str]:
    labels: list[str] = []
    fields: set[str] = set()
    for row in run.task_rows():
        labels.append(label(dotted(row, field)))
        if len(labels) <= 50:
            fields |= _paths(row)
    if all(name == NONE for name in labels):
        raise UsageError(f"--by {field}: no task has it{did_you_mean(field, fields)}")
    return lambda slot: labels[slot // run.sheet.repeats]


def _by_component(run: Run, field: str) -> Callable[[int], str]:
    column = run.sheet.columns.get(field)
    if column is None:
        raise UsageError(f"--by {field}: no rollout has it{did_you_mean(field, run.sheet.columns)}")
    return lambda slot: NONE if isnan(column[slot]) else f"{column[slot]:g}"


def _paths(row: JSONObject, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in row.items():
        found |= _paths(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}"}
    return found


def label(value: Any) -> str:
    """The name of the group of a field's value."""
    if value is None:
        return NONE
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _natural(name: str) -> tuple[bool, float, str]:
    """Numbers by size, then words, the tasks without the field last."""
    try:
        return False, float(name), name
    except ValueError:
        return name == NONE, float("inf"), name


def _group(sheet: Sheet, name: str, slots: list[int], passes: TaskScores, level: float) -> JSONObject:
    rewards = _scores(sheet, slots, "reward")
    return {
        "value": name,
        "tasks": len({slot // sheet.repeats for slot in slots}),
        "scored": sum(rewards.counts),
        "failed": sum(1 for slot in slots if sheet.state[slot] == FAILED),
        "pass": estimate(passes, full=False),
        "reward": estimate(rewards, full=False),
        "pass_simultaneous": as_json(new_tasks(passes, level=level)),
        "vs_rest": None,
    }


def _scores(sheet: Sheet, slots: list[int], metric: str) -> TaskScores:
    column = sheet.field(metric)
    tasks: dict[int, list[float]] = {}
    for slot in slots:
        if sheet.state[slot] == SCORED:
            tasks.setdefault(slot // sheet.repeats, []).append(column[slot])
    return TaskScores.of(tasks.values(), sheet.field_bounds(metric))


def _against_rest(rows: list[JSONObject], means: Sequence[Sequence[float]]) -> None:
    """Pass rate of each group less that of all others, by Welch's (1947) t on task means, adjusted by Holm."""
    tests: dict[int, tuple[float, float]] = {}
    for i, own in enumerate(means):
        test = welch(own, [m for j, other in enumerate(means) if j != i for m in other])
        if test is not None:
            tests[i] = test
    for (i, (difference, p)), adjusted in zip(tests.items(), holm([p for _, p in tests.values()]), strict=True):
        rows[i]["vs_rest"] = {"difference": difference, "p": p, "p_holm": adjusted}


def welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, float] | None:
    """Mean of `a` less that of `b`, and p by Welch's (1947) t; None where either has fewer than two values."""
    if min(len(a), len(b)) < 2:
        return None
    parts = [(len(x), fsum(x) / len(x)) for x in (a, b)]
    errors = [fsum((v - m) ** 2 for v in x) / (n - 1) / n for x, (n, m) in zip((a, b), parts, strict=True)]
    error, difference = fsum(errors), parts[0][1] - parts[1][1]
    if error <= 0.0:
        return None
    freedom = error**2 / fsum(e * e / (n - 1) for e, (n, _) in zip(errors, parts, strict=True))
    return difference, 2 * t_cdf(-abs(difference) / sqrt(error), freedom)
