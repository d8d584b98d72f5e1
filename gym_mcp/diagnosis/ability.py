"""What is left to the agent: tasks that it never, or only sometimes, passes, and kinds of task it is bad at."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb
from typing import Any, Final

from gym_mcp.analysis.groups import groups_by, label, welch
from gym_mcp.analysis.read import dotted
from gym_mcp.diagnosis.finding import SHOWN, Finding, Scale, finding
from gym_mcp.diagnosis.scan import Scan, of_tasks
from gym_mcp.errors import UsageError
from gym_mcp.metrics.multiplicity import holm
from gym_mcp.types import JSONObject

MOST_VALUES: Final = 20
LEAST_TASKS: Final = 3
LEAST_FOR_LENGTH: Final = 16
LEVEL: Final = 0.01
"""Of a test that nobody asked for."""


def ability(s: Scan, scale: Scale) -> Iterator[Finding]:
    never = [i for i, n in enumerate(scale.scored) if n and not scale.passed[i]]
    some = [i for i, n in enumerate(scale.scored) if 0 < scale.passed[i] < n]
    if never:
        given = {"confidence": "low", "details": {"repeats": s.run.sheet.repeats}}
        title = "Tasks that no rollout passes"
        yield of_tasks(s, scale, "never_pass", "KG", title, never, scale.tasks_scored, **given)
    if some:
        title = "Tasks that some rollouts pass and others do not"
        yield of_tasks(s, scale, "sometimes_pass", "UK", title, some, scale.tasks_scored)
    yield from _categories(s, scale)
    yield from _long(s, scale)


def fields(s: Scan) -> list[str]:
    """The task fields that sort the tasks into a few kinds."""
    values: dict[str, list[str]] = {}
    for task in s.tasks:
        for path, value in _leaves(task.data):
            values.setdefault(path, []).append(value)
    return sorted(
        path
        for path, seen in values.items()
        if len(seen) >= 0.9 * len(s.tasks)
        and 2 <= len(set(seen)) <= MOST_VALUES
        and sorted(map(seen.count, set(seen)))[-2] >= LEAST_TASKS
        and not path.endswith(("answer", "target", "ground_truth", "label"))
    )


def _leaves(value: Any, path: str = "data", depth: int = 0) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and depth < 3:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}", depth + 1)
    elif isinstance(value, bool | int | str) and len(str(value)) <= 60:
        yield path, str(value)


def label_of(s: Scan, index: int, field: str) -> str:
    """The name of the kind that a task is of, as `eval profile --by` gives it."""
    return label(dotted({"data": s.tasks[index].data}, field))


def _categories(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Kinds of task that pass less often than the rest; Holm over every kind of every field."""
    tests = []
    for field in fields(s):
        try:
            groups = groups_by(s.run, field)["groups"]
        except UsageError:
            continue
        tests += [(field, g, test) for g in groups if (test := _test(s, scale, field, g)) is not None]
    adjusted = holm([test[1] for *_, test in tests])
    for (field, group, (difference, _)), p in zip(tests, adjusted, strict=True):
        if p >= 0.05 or difference >= 0.0:
            continue
        indexes = [i for i in range(len(s.tasks)) if label_of(s, i, field) == group["value"]]
        rows = [f for i in indexes for f in s.of_task(i)]
        yield finding(
            scale,
            "weak_category",
            "KG",
            f"`{field}` = {group['value']}: passes less often than the rest",
            [f for f in rows if f.failing],
            len(rows),
            key=f"{field}={group['value']}",
            tasks=[s.tasks[i].id for i in indexes[:SHOWN]],
            confidence="medium",
            details={
                "field": field,
                "value": group["value"],
                "pass": group["pass"]["value"],
                "difference": difference,
                "p_holm": p,
            },
        )


def _test(s: Scan, scale: Scale, field: str, group: JSONObject) -> tuple[float, float] | None:
    """A kind less the rest, and p. Where none of one and all of the other pass, Welch's t has no variance: then
    the chance of just these tasks among all."""
    if group["vs_rest"] is not None:
        return group["vs_rest"]["difference"], group["vs_rest"]["p"]
    own: list[float] = []
    rest: list[float] = []
    for i in range(len(s.tasks)):
        if scale.scored[i]:
            mine = label_of(s, i, field) == group["value"]
            (own if mine else rest).append(scale.passed[i] / scale.scored[i])
    if len(own) < 2 or len(rest) < 2 or max(own) > 0.0 or min(rest) < 1.0:
        return None
    return -1.0, 1 / comb(len(own) + len(rest), len(own))


def _long(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Whether the tasks with the longest prompts pass less often than the others."""
    scored = [i for i, n in enumerate(scale.scored) if n]
    by_length = sorted(scored, key=lambda i: (-len(s.tasks[i].prompt), i))
    if len(scored) < LEAST_FOR_LENGTH:
        return
    for share in (4, 2):
        long = by_length[: len(scored) // share]
        least = len(s.tasks[long[-1]].prompt)
        rest = [i for i in scored if len(s.tasks[i].prompt) < least]
        test = welch(
            [scale.passed[i] / scale.scored[i] for i in long], [scale.passed[i] / scale.scored[i] for i in rest]
        )
        if test is None or test[0] >= 0.0 or test[1] >= LEVEL:
            continue
        rows = [f for i in long for f in s.of_task(i)]
        yield finding(
            scale,
            "weak_on_long_prompts",
            "KG",
            f"Prompts of {least} characters or more pass less often than shorter ones",
            [f for f in rows if f.failing],
            len(rows),
            tasks=[s.tasks[i].id for i in long[:SHOWN]],
            confidence="low",
            details={"characters": least, "difference": test[0], "p": test[1]},
        )
        return
