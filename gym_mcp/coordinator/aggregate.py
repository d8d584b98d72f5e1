"""Shards and machines merged into one run: every rollout once, conflicts refused, what it came from on record."""

from __future__ import annotations

import datetime
import secrets
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from gym_mcp.coordinator import journal
from gym_mcp.coordinator.connect import differences
from gym_mcp.coordinator.run import Outcome, summarize
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject

_MAY_DIFFER: Final = ("tasks:", "repeats:")


@dataclass(slots=True)
class Source:
    """One run to merge: its task indexes in the merged run, and where its repeats begin there."""

    directory: RunDirectory
    manifest: JSONObject
    indexes: list[int] = field(default_factory=list)
    first_repeat: int = 0
    taken: int = 0
    same: int = 0
    """Rows that another source has in the same form."""

    @property
    def path(self) -> Path:
        return self.directory.path

    @property
    def seed(self) -> Any:
        return self.manifest["identity"].get("seed")


def aggregate(paths: Sequence[Path], out: Path, *, stack: bool = False) -> Outcome:
    """Merge the runs in `paths` into a new run directory `out`.

    Their identities must be the same but for tasks and repeats. `stack`: runs of different seeds are further
    repeats of the same tasks, and their repeats are numbered on. A (task, repeat) that several hold must be the
    same row in all. `UsageError` says what does not fit.
    """
    sources = [_source(path) for path in paths]
    if len({source.path.resolve() for source in sources}) < len(sources):
        raise UsageError("eval aggregate: a run directory is named twice")
    _check_identities(sources, stack)
    directory = RunDirectory.new(out, "")
    directory.lock()
    try:
        if directory.exists():
            raise UsageError(f"{out}: holds a run already; choose another --out")
        tasks = _merge_tasks(sources, directory)
        repeats = _number_repeats(sources, stack)
        journal.replace_file(directory.rollouts_path, _lines(sources, tasks, repeats))
        directory.write_manifest(_manifest(sources, directory, tasks, repeats))
        outcome = summarize(out)
        directory.write_metrics(outcome.metrics)
        return outcome
    except BaseException:
        if not directory.exists():
            directory.rollouts_path.unlink(missing_ok=True)
        directory.discard()
        raise
    finally:
        directory.unlock()


def _source(path: Path) -> Source:
    directory = RunDirectory.existing(path)
    return Source(directory, directory.read_manifest())


def _check_identities(sources: Sequence[Source], stack: bool) -> None:
    first = sources[0]
    for source in sources[1:]:
        changed = differences(first.manifest["identity"], source.manifest["identity"])
        serious = [c for c in changed if not c.startswith(_MAY_DIFFER)]
        if stack:
            serious = [c for c in serious if not c.startswith("seed:")]
        if serious:
            hint = ""
            if all(c.startswith("seed:") for c in serious):
                hint = "; --stack takes runs of different seeds as further repeats"
            raise UsageError(f"{first.path} and {source.path}: not the same run ({'; '.join(serious)}){hint}")
    if stack and len({str(source.seed) for source in sources}) < len(sources):
        raise UsageError(
            "--stack: two runs have the same seed, so their repeats are the same ones, not further ones"
        )


def _merge_tasks(sources: Sequence[Source], directory: RunDirectory) -> int:
    """Write the union of the tasks in the order of their first appearance; how many."""
    seen: dict[str, tuple[int, bytes, Path]] = {}

    def lines() -> Iterator[bytes]:
        for source in sources:
            with source.directory.tasks_path.open("rb") as file:
                for line in file:
                    name = str(orjson.loads(line)["id"])
                    content = line.rstrip(b"\n")
                    known = seen.get(name)
                    if known is None:
                        known = seen[name] = len(seen), content, source.path
                        yield content + b"\n"
                    elif known[1] != content:
                        raise UsageError(f"{known[2]} and {source.path}: task `{name}` differs between them")
                    source.indexes.append(known[0])

    journal.replace_file(directory.tasks_path, lines())
    return len(seen)


def _number_repeats(sources: Sequence[Source], stack: bool) -> int:
    """Give each source its first repeat; how many repeats there are in all."""
    if not stack:
        return max(int(source.manifest["repeats"]) for source in sources)
    total = 0
    for source in sources:
        source.first_repeat = total
        total += int(source.manifest["repeats"])
    return total


def _lines(sources: Sequence[Source], tasks: int, repeats: int) -> Iterator[bytes]:
    """The rows of all sources, each rollout once. Only places of rows stay in memory."""
    owner, offsets = array("l", [-1]) * (tasks * repeats), array("Q", bytes(8 * tasks * repeats))
    for number, source in enumerate(sources):
        for start, line, row in _rows(source):
            moved = _moved(source, row)
            slot = moved["task_index"] * repeats + moved["repeat"]
            if owner[slot] < 0:
                owner[slot], offsets[slot] = number, start
                source.taken += 1
                same = moved["task_index"] == row["task_index"] and moved["repeat"] == row["repeat"]
                yield line if same else journal.line_of(moved)
                continue
            other = sources[owner[slot]]
            known = _moved(other, _row_at(other, offsets[slot]))
            if known != moved:
                raise UsageError(
                    f"{other.path} and {source.path}: different rollouts of task `{row['task_id']}`, repeat "
                    f"{row['repeat']} ({known.get('rollout_id')}, {row.get('rollout_id')}): merge only one of them"
                )
            source.same += 1


def _rows(source: Source) -> Iterator[tuple[int, bytes, JSONObject]]:
    """(offset, line, row) of a source's journal; a torn last line is skipped."""
    path = source.directory.rollouts_path
    if not path.exists():
        return
    offset = 0
    with path.open("rb", buffering=1 << 20) as file:
        for number, line in enumerate(file, 1):
            row = journal.parse_line(line)
            if row is not None:
                yield offset, line if line.endswith(b"\n") else line + b"\n", row
            elif line.endswith(b"\n"):
                raise journal.DamagedJournal(f"{path}:{number}: not a rollout; remove that line")
            offset += len(line)


def _row_at(source: Source, offset: int) -> JSONObject:
    with source.directory.rollouts_path.open("rb") as file:
        file.seek(offset)
        row: JSONObject = orjson.loads(file.readline())
        return row


def _moved(source: Source, row: JSONObject) -> JSONObject:
    """The row with its place in the merged run; its `rollout_id` stays that of the run that made it."""
    index, repeat = row["task_index"], row["repeat"]
    inside = isinstance(index, int) and 0 <= index < len(source.indexes)
    if not (inside and isinstance(repeat, int) and 0 <= repeat < source.manifest["repeats"]):
        raise journal.DamagedJournal(
            f"{source.directory.rollouts_path}: task {row['task_id']}, repeat {repeat} is not of this run; "
            "remove that line"
        )
    return {**row, "task_index": source.indexes[index], "repeat": source.first_repeat + repeat}


def _manifest(sources: Sequence[Source], directory: RunDirectory, tasks: int, repeats: int) -> JSONObject:
    """The first run's manifest for all of them; resume goes on under its settings."""
    first = sources[0].manifest
    return {
        **first,
        "run_id": secrets.token_hex(6),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "config": {**first["config"], "repeats": repeats, "limit": None},
        "identity": {**first["identity"], "tasks": directory.tasks_digest(), "repeats": repeats},
        "tasks": tasks,
        "repeats": repeats,
        "expected": tasks * repeats,
        "merged_from": [
            {
                "run_dir": str(source.path.resolve()),
                "run_id": source.manifest["run_id"],
                "created": source.manifest.get("created"),
                "seed": source.seed,
                "tasks": len(source.indexes),
                "first_repeat": source.first_repeat,
                "rows": source.taken,
                "rows_of_others": source.same,
            }
            for source in sources
        ],
    }
