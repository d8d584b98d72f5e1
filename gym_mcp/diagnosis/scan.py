"""One pass over a run's journal: facts of every rollout, clusters of its messages, the use of its tools."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import orjson

from gym_mcp.analysis.read import Run, open_run
from gym_mcp.coordinator.journal import DamagedJournal
from gym_mcp.diagnosis.answers import chosen_text, key_of, references_of
from gym_mcp.diagnosis.facts import RESULTS, Facts, facts_of, kind_of_result
from gym_mcp.diagnosis.finding import SHOWN, Finding, Label, Scale, finding
from gym_mcp.diagnosis.templates import template
from gym_mcp.metrics.tally import is_full
from gym_mcp.types import JSONObject, text_of

K = TypeVar("K")
MOST_TEMPLATES: Final = 2_000
"""Clusters that are kept apart by name; every further one is counted under `(others)`."""
OTHERS: Final = "(others)"
EMPTY: Final = RESULTS.index("empty")
LIKE_AN_ERROR: Final = RESULTS.index("like an error")
SAME: Final = 5
"""Different calls of a tool from which on it is odd that all have one result."""


@dataclass(slots=True)
class Cluster:
    """Occurrences of a template, and the rollouts that they are in (slots)."""

    count: int = 0
    slots: set[int] = field(default_factory=set)
    example: str = ""

    def add(self, slot: int, message: str) -> None:
        self.count += 1
        self.slots.add(slot)
        text = " ".join(message.split())[:300]
        self.example = min(self.example, text) if self.example else text


@dataclass(slots=True)
class ToolUse:
    """Calls of one tool, by how they ended."""

    calls: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    error_slots: set[int] = field(default_factory=set)
    soft: dict[str, Cluster] = field(default_factory=dict)
    """Results that read like errors, by their template."""
    empty_slots: set[int] = field(default_factory=set)
    asked: set[int] = field(default_factory=set)
    """Some of the different arguments that it was called with."""
    said: set[str] = field(default_factory=set)
    """Some of its different results."""


@dataclass(slots=True)
class TaskFacts:
    """What the detectors know of a task row."""

    id: str
    prompt: str
    key: str | None
    chosen: str | None
    """The text of the option that the key names."""
    data: JSONObject
    digest: bytes
    roles: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    """Texts of the reference that is no single answer: names of calls and their arguments, say."""


@dataclass(slots=True)
class Scan:
    """A run, read for diagnosis. `rollouts` in slot order; None where no row is."""

    run: Run
    tasks: list[TaskFacts]
    rollouts: list[Facts | None]
    failures: dict[tuple[str, str], Cluster] = field(default_factory=dict)
    tool_errors: dict[tuple[str, str, str], Cluster] = field(default_factory=dict)
    notes: dict[str, Cluster] = field(default_factory=dict)
    tools: dict[str, ToolUse] = field(default_factory=dict)
    retried: Cluster = field(default_factory=Cluster)

    @property
    def present(self) -> Iterator[Facts]:
        return (f for f in self.rollouts if f is not None)

    @property
    def scored(self) -> list[Facts]:
        return [f for f in self.present if f.scored]

    def of_task(self, index: int) -> list[Facts]:
        n = self.run.sheet.repeats
        return [f for f in self.rollouts[index * n : (index + 1) * n] if f is not None and f.scored]

    def find(self, rollout: str) -> Facts | None:
        """The rollout of this id."""
        return next((f for f in self.present if f.id == rollout), None)

    def at(self, slots: set[int]) -> list[Facts]:
        return [f for slot in sorted(slots) if (f := self.rollouts[slot]) is not None]

    @property
    def scale(self) -> Scale:
        scored, passed = [0] * len(self.tasks), [0] * len(self.tasks)
        for f in self.scored:
            scored[f.task] += 1
            passed[f.task] += f.passed
        return Scale([t.id for t in self.tasks], scored, passed)

    @property
    def uses_tools(self) -> bool:
        return any(use.calls for use in self.tools.values())


def scan(path: Path) -> Scan:
    """Read a run for diagnosis. Memory: about 2 kB a rollout, whatever the transcripts hold."""
    run = open_run(path)
    sheet = run.sheet
    tasks = [_task(row) for row in run.task_rows()]
    found = Scan(run, tasks, [None] * len(sheet.state))
    about = run.manifest["environment"]
    texts = about.get("interaction") == "single_turn"
    reads = frozenset(t["name"] for t in about.get("tools") or () if t.get("readOnly"))
    for offset, row in rows(run.directory.rollouts_path):
        slot = sheet.slot(row)
        if slot is None or row["task_index"] >= len(tasks):
            raise DamagedJournal(f"{run.directory.rollouts_path}: a row is not of this run: {row['rollout_id']}")
        if found.rollouts[slot] is None:
            facts = facts_of(row, offset, full=lambda reward: is_full(reward, sheet.best), reads=reads)
            found.rollouts[slot] = facts
            _count(found, row, slot)
            if texts and "answer" not in row:
                row["text"] = facts.answer
        row["stop"] = (row.get("response") or {}).get("stop") or ""
        sheet.add(row)
    return found


def of_tasks(
    s: Scan, scale: Scale, kind: str, label: Label, title: str, indexes: list[int], of: int, **more: object
) -> Finding:
    """A finding of whole tasks, shown by their scored rollouts."""
    shows = [f for i in indexes for f in s.of_task(i)]
    named = {"count": len(indexes), "tasks": [s.tasks[i].id for i in indexes[:SHOWN]]}
    return finding(scale, kind, label, title, shows, of, unit="tasks", **named, **more)


def artifact(
    s: Scan, scale: Scale, kind: str, title: str, indexes: list[int], advice: str, **more: object
) -> Finding:
    """A suspect among the tasks' rows."""
    given = {"suspect": True, "advice": advice, **more}
    return of_tasks(s, scale, kind, "DA", title, indexes, len(s.tasks), **given)


def rows(path: Path) -> Iterator[tuple[int, JSONObject]]:
    """The rows of a journal with their byte offsets; a torn last line is left out."""
    if not path.exists():
        return
    offset = 0
    with path.open("rb", buffering=1 << 20) as file:
        for number, line in enumerate(file, 1):
            try:
                row = orjson.loads(line)
                if (
                    not isinstance(row, dict)
                    or not {"task_index", "repeat", "outcome", "rollout_id"} <= row.keys()
                ):
                    raise ValueError
            except ValueError:
                if not line.endswith(b"\n"):
                    return
                raise DamagedJournal(f"{path}:{number}: not a rollout: remove that line") from None
            yield offset, row
            offset += len(line)


def row_at(path: Path, offset: int) -> JSONObject:
    """The row that starts at a byte of a journal."""
    with path.open("rb") as file:
        file.seek(offset)
        row: JSONObject = orjson.loads(file.readline())
        return row


def prompt_of(row: JSONObject) -> str:
    """The prompt of a task row as text."""
    return "\n".join(text_of(item) for item in row.get("prompt") or ())


def _task(row: JSONObject) -> TaskFacts:
    prompt = prompt_of(row)
    roles = tuple(str(item.get("role")) for item in row.get("prompt") or () if isinstance(item, dict))
    # Copies differ in blanks, capitals and marks.
    core = " ".join(re.findall(r"\w+|[^\w\s.,;:!?'\"]", prompt.casefold()))
    digest = hashlib.blake2b(core.encode(errors="replace"), digest_size=12).digest()
    data = row.get("data")
    key = key_of(row)
    chosen = chosen_text(row, key) if key else None
    found = TaskFacts(str(row["id"]), prompt, key, chosen, data if isinstance(data, dict) else {}, digest, roles)
    found.references = references_of(row) if key is None else ()
    return found


def _count(found: Scan, row: JSONObject, slot: int) -> None:
    if row["outcome"] != "scored":
        failure = row["failure"]
        message = str(failure.get("message") or "")
        _cluster(found.failures, (failure["kind"], template(message)), (failure["kind"], OTHERS)).add(
            slot, message
        )
    notes = row.get("notes")
    if notes and row["outcome"] == "scored" and not _full(found, row):
        _cluster(found.notes, template(notes), OTHERS).add(slot, notes)
    if row.get("earlier_failures"):
        found.retried.add(slot, str(row["earlier_failures"][0].get("message")))
    for entry in row.get("ledger") or ():
        use = found.tools.get(entry["name"])
        if use is None:
            name = entry["name"] if len(found.tools) < MOST_TEMPLATES else OTHERS
            use = found.tools.setdefault(name, ToolUse())
        use.calls += 1
        error = entry["error"]
        if error is None:
            _result(use, entry, slot)
            continue
        use.errors[error] = use.errors.get(error, 0) + 1
        use.error_slots.add(slot)
        message = str(entry.get("result") or "")
        key = (entry["name"], error, template(message))
        _cluster(found.tool_errors, key, (OTHERS, error, OTHERS)).add(slot, message)


def _result(use: ToolUse, entry: JSONObject, slot: int) -> None:
    kind, text = kind_of_result(entry), str(entry.get("result") or "")
    if kind == LIKE_AN_ERROR:
        form = template(text[:400])
        _cluster(use.soft, form, OTHERS).add(slot, text[:400])
    elif kind == EMPTY:
        use.empty_slots.add(slot)
    if len(use.asked) < SAME:
        use.asked.add(hash(orjson.dumps(entry.get("arguments"), option=orjson.OPT_SORT_KEYS, default=str)))
    if len(use.said) < 2:
        use.said.add(text[:400])


def _full(found: Scan, row: JSONObject) -> bool:
    return is_full(row["reward"], found.run.sheet.best)


def _cluster(clusters: dict[K, Cluster], key: K, others: K) -> Cluster:
    cluster = clusters.get(key)
    if cluster is None:
        cluster = clusters.setdefault(key if len(clusters) < MOST_TEMPLATES else others, Cluster())
    return cluster
