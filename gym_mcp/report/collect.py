"""What a report shows of a run: its profile, its tasks, its failures, and a few transcripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gym_mcp.analysis.profile import profile, task_rows
from gym_mcp.analysis.read import Run, read_run
from gym_mcp.analysis.sheet import FAILED, SCORED
from gym_mcp.coordinator.journal import read_rows
from gym_mcp.errors import UsageError
from gym_mcp.report.clean import line
from gym_mcp.types import JSONObject

MESSAGES: Final = 5
"""Messages shown of each kind of failure."""
_MESSAGES_KEPT: Final = 2_000


@dataclass(slots=True)
class Failure:
    """One kind of failure, and what was said how often; `others` are messages that are not shown."""

    kind: str
    count: int
    messages: list[tuple[str, int]]
    others: int


@dataclass(slots=True)
class Example:
    """A rollout that is shown whole, and why."""

    why: str
    task: JSONObject
    row: JSONObject


@dataclass(slots=True)
class RunReport:
    """Everything that any form of report shows of one run."""

    run: Run
    profile: JSONObject
    tasks: list[JSONObject]
    """Its `task_rows`, the best tasks first."""
    failures: list[Failure] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)

    @property
    def title(self) -> str:
        about = self.profile["run"]
        return f"{about['benchmark'] or about['environment']} · {about['model']} · {about['harness']}"


def collect(path: Path, *, transcripts: bool = True, chosen_tasks: Sequence[str] = ()) -> RunReport:
    """Read a run directory, finished or not. `chosen_tasks`: ids whose rollouts are all shown."""
    run = read_run(path)
    sheet = run.sheet
    tasks = sorted(task_rows(run), key=lambda t: _place(t, sheet.higher_is_better))
    wanted = pick(run, tasks) if transcripts else {}
    wanted |= _all_of(run, tasks, chosen_tasks)
    report = RunReport(run, profile(run), tasks)
    report.failures, report.examples = _read(run, wanted)
    return report


def _place(task: JSONObject, higher_is_better: bool) -> tuple[float, float, str]:
    """Best first, those without a score last."""
    mean = task["mean"]
    if mean is None:
        return (float("inf"), 0.0, task["task_id"])
    return (-mean if higher_is_better else mean, -(task["pass_rate"] or 0.0), task["task_id"])


def pick(run: Run, tasks: Iterable[JSONObject]) -> dict[int, str]:
    """Slots worth reading, and why: a task that passes sometimes, both ways; one that always, one that never does.

    Among several tasks, the one in the middle of the table.
    """
    by_bucket: dict[str, list[JSONObject]] = {}
    for task in tasks:
        by_bucket.setdefault(task["bucket"], []).append(task)
    found: dict[int, str] = {}
    for bucket, passed, why in (
        ("sometimes", True, "Passes sometimes: this attempt did"),
        ("sometimes", False, "Passes sometimes: this attempt did not"),
        ("always", True, "Passes every time"),
        ("never", False, "Never passes"),
    ):
        group = by_bucket.get(bucket, [])
        slot = _slot(run, group[len(group) // 2], passed) if group else None
        if slot is not None:
            found[slot] = why
    return found


def _slot(run: Run, task: JSONObject, passed: bool) -> int | None:
    sheet = run.sheet
    start = task["task_index"] * sheet.repeats
    slots = range(start, start + sheet.repeats)
    return next((i for i in slots if sheet.state[i] == SCORED and bool(sheet.passes[i]) is passed), None)


def _all_of(run: Run, tasks: Sequence[JSONObject], chosen: Sequence[str]) -> dict[int, str]:
    by_id = {task["task_id"]: task for task in tasks}
    found: dict[int, str] = {}
    for name in chosen:
        if name not in by_id:
            raise UsageError(f"--task {name}: {run.path} has no such task")
        start = by_id[name]["task_index"] * run.sheet.repeats
        found |= dict.fromkeys(range(start, start + run.sheet.repeats), f"Task {name}")
    return found


def _read(run: Run, wanted: dict[int, str]) -> tuple[list[Failure], list[Example]]:
    """One walk through the journal, for messages of failures and the wanted rows."""
    messages: dict[str, Counter[str]] = {}
    rows: dict[int, JSONObject] = {}
    failed = FAILED in run.sheet.state
    if failed or wanted:
        seen: set[int] = set()
        for row in read_rows(run.directory.rollouts_path):
            slot = run.sheet.slot(row)
            if slot is None or slot in seen:
                continue
            if row["outcome"] == "failed":
                seen.add(slot)
                counts = messages.setdefault(row["failure"]["kind"], Counter())
                text = line(row["failure"]["message"], 300)
                counts[text if text in counts or len(counts) < _MESSAGES_KEPT else ""] += 1
            if slot in wanted:
                seen.add(slot)
                rows[slot] = row
    return _failures(messages), _examples(run, wanted, rows)


def _failures(messages: dict[str, Counter[str]]) -> list[Failure]:
    found = []
    for kind, counts in messages.items():
        ordered = sorted(counts.items(), key=lambda pair: (pair[0] == "", -pair[1], pair[0]))
        shown = [pair for pair in ordered[:MESSAGES] if pair[0]]
        others = counts.total() - sum(count for _, count in shown)
        found.append(Failure(kind, counts.total(), shown, others))
    return sorted(found, key=lambda f: (-f.count, f.kind))


def _examples(run: Run, wanted: dict[int, str], rows: dict[int, JSONObject]) -> list[Example]:
    """The wanted rows with their tasks, in the order of wanting."""
    indexes = {slot // run.sheet.repeats for slot in rows}
    tasks = {i: task for i, task in enumerate(run.task_rows()) if i in indexes} if indexes else {}
    return [
        Example(why, tasks[slot // run.sheet.repeats], rows[slot]) for slot, why in wanted.items() if slot in rows
    ]
