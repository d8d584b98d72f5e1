"""From a run directory to its sheet."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import orjson

from gym_mcp.analysis.parts import ranges, reading, receive, workers
from gym_mcp.analysis.sheet import Sheet
from gym_mcp.coordinator.journal import DamagedJournal
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.coordinator.slim import slim_rows
from gym_mcp.errors import UsageError
from gym_mcp.metrics.scores import Bounds
from gym_mcp.types import JSONObject


@dataclass(slots=True)
class Run:
    """A run directory, read: what it is and its numbers."""

    directory: RunDirectory
    manifest: JSONObject
    sheet: Sheet

    @property
    def path(self) -> Path:
        return self.directory.path

    def about(self) -> JSONObject:
        """Which run this is, for the head of a table."""
        m = self.manifest
        return {
            "run_dir": str(self.path),
            "run_id": m["run_id"],
            "environment": m["environment"]["name"],
            "benchmark": m["identity"].get("benchmark"),
            "model": m["model"]["spec"],
            "harness": m["harness"],
            "tasks": self.sheet.tasks,
            "repeats": self.sheet.repeats,
            "reward_range": m["environment"]["reward_range"],
            "higher_is_better": self.sheet.higher_is_better,
        }

    def task_rows(self) -> Iterator[JSONObject]:
        """The rows of `tasks.jsonl`, by task index."""
        try:
            yield from self.directory.task_rows()
        except (OSError, orjson.JSONDecodeError) as e:
            raise UsageError(f"{self.directory.tasks_path}: unreadable: {e}") from None

    def task_ids(self) -> list[str]:
        return [str(row["id"]) for row in self.task_rows()]


def read_run(path: Path) -> Run:
    """Read a run directory, finished or not, running or not. Memory: 8 bytes a number and rollout."""
    run = open_run(path)
    journal = run.directory.rollouts_path
    count = workers(journal)
    if count == 1:
        enter_rows(run)
        return run
    mine, *others = ranges(journal, count)
    with reading(path, others) as pipes:
        enter_rows(run, mine)
        for pipe, span in zip(pipes, others, strict=True):
            part = receive(pipe)
            if part is None or not run.sheet.merge(part):
                enter_rows(run, span)
    return run


def open_run(path: Path) -> Run:
    """A run directory with its sheet still empty."""
    directory = RunDirectory.existing(path)
    manifest = directory.read_manifest()
    about = manifest["environment"]
    sheet = Sheet(
        manifest["tasks"], manifest["repeats"], bounds_of(about), higher_is_better=about["higher_is_better"]
    )
    return Run(directory, manifest, sheet)


def enter_rows(run: Run, span: tuple[int, int] | None = None) -> None:
    """Enter the rows of a run's journal, or of a byte range of it, into its sheet."""
    journal = run.directory.rollouts_path
    # What an agent says last is its answer where it has no tools to act with.
    texts = run.manifest["environment"].get("interaction") == "single_turn"
    with _no_collector():
        for row in slim_rows(journal, texts=texts, span=span):
            if not run.sheet.add(row):
                which = f"task {row['task_id']}, repeat {row['repeat']}"
                raise DamagedJournal(
                    f"{journal}: {which} is not of this run: something else changed the file; remove that line"
                )


@contextmanager
def _no_collector() -> Iterator[None]:
    """Rows are trees and go at once: looking for cycles among them costs a tenth of the reading."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def bounds_of(about: JSONObject) -> Bounds:
    """The reward range of a manifest's environment; JSON has no infinity."""
    low, high = about["reward_range"]
    return (-inf if low is None else low), (inf if high is None else high)


def task_digest(row: JSONObject, *, prompt: bool = True) -> bytes:
    """Content of a task row, with or without its prompt; its id is left out."""
    kept = {k: v for k, v in row.items() if k != "id" and (prompt or k != "prompt")}
    return hashlib.blake2b(orjson.dumps(kept, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def dotted(row: JSONObject, path: str) -> Any:
    """A field of a row by its dotted name; None when there is none."""
    value: Any = row
    for part in path.split("."):
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value
