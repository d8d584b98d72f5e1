"""Scores rows of a journal again: several at a time, safe against a crash, and no journal is ever lost.

New rows go to a scratch journal first. Only when all are there do they take the places of the old ones, in the old
order; the journal as it was stays as `rollouts.before-reverify.jsonl`, `.2.jsonl`, ...
"""

from __future__ import annotations

import asyncio
import os
import shutil
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from gym_mcp.client import EnvironmentClient
from gym_mcp.coordinator import journal
from gym_mcp.coordinator.admission import Patient
from gym_mcp.coordinator.groups import ALONE, as_alone
from gym_mcp.coordinator.reverify import Replayed, reverify
from gym_mcp.coordinator.rundir import RunDirectory, write_json
from gym_mcp.errors import RolloutError
from gym_mcp.reverify.regroup import score_groups_again
from gym_mcp.types import JSONObject, Task

SCRATCH: Final = "rollouts.reverified.jsonl"
STATE: Final = "reverify.state.json"
CONCURRENCY: Final = 16
_TRIES: Final = 2
"""At a rollout whose environment or judge could not be reached."""

OnPair = Callable[[JSONObject, JSONObject], None]


@dataclass(frozen=True, slots=True)
class Rescoring:
    """What is scored again, with what, and where the result goes.

    `key` says what the new scores rest on: unfinished work of the same key is gone on with, other is dropped.
    `source` and `target` are the same directory when the run itself is changed.
    """

    source: RunDirectory
    target: RunDirectory
    client: EnvironmentClient
    parse: Callable[[JSONObject], Task[Any]]
    wanted: Callable[[JSONObject], bool]
    key: JSONObject
    size: tuple[int, int]
    """Tasks and repeats of the run."""
    concurrency: int = CONCURRENCY
    groups: bool = False
    """Whether the environment scores a task's rollouts together."""

    @property
    def in_place(self) -> bool:
        return self.source.path == self.target.path

    async def run(self, on_done: Callable[[], None] | None = None) -> None:
        """Score every wanted row again into the scratch journal; what an earlier, killed try left counts."""
        scratch = self._scratch()
        with _Places(scratch, *self.size) as known:
            out = journal.Journal(scratch)
            out.start_syncing()
            rows = iter(journal.read_rows(self.source.rollouts_path))
            tasks = by_index(self.source.tasks_path)
            client = Patient(self.client)
            room = (await client.describe()).max_live or self.concurrency

            async def work() -> None:
                for row in rows:
                    if not self.wanted(row):
                        continue
                    if known.get(row) is None:
                        if self.groups:
                            as_alone(row).pop(ALONE)
                        await score_again(client, self.parse(tasks(row["task_index"])), row)
                        out.append(row)
                        await asyncio.sleep(0)  # an environment in this process may never give way
                    if on_done is not None:
                        on_done()

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.concurrency, room)):
                        group.create_task(work())
            finally:
                await out.aclose()
        if self.groups:
            await self._regroup(scratch)

    async def _regroup(self, scratch: Path) -> None:
        tasks = by_index(self.source.tasks_path)
        out = journal.Journal(scratch)
        with _Places(scratch, *self.size) as known, _Places(self.source.rollouts_path, *self.size) as old:

            def now(index: int, repeat: int) -> JSONObject | None:
                row = old.at(index, repeat)
                return None if row is None else known.get(row)

            try:
                await score_groups_again(
                    self.client, lambda i: self.parse(tasks(i)), self.size, now, old.at, out.append
                )
            finally:
                out.close()

    def finish(self, on_pair: OnPair | None = None, change: Callable[[JSONObject], None] | None = None) -> None:
        """Put the new rows into the journal of `target`. `on_pair` hears of each (old, new) row.

        `change` is applied to every row that is written. The files of unfinished work stay until `forget`.
        """
        with _Places(self.target.path / SCRATCH, *self.size) as known:

            def lines() -> Iterator[bytes]:
                for old in _once(journal.read_rows(self.source.rollouts_path), self.size):
                    new = known.get(old) or old
                    if on_pair is not None:
                        on_pair(old, new)
                    if change is not None:
                        change(new)
                    yield journal.line_of(new)

            if self.in_place:
                keep(self.source.rollouts_path)
            journal.replace_file(self.target.rollouts_path, lines())

    def forget(self) -> None:
        """Remove the files of unfinished work, once nothing rests on them."""
        for name in (STATE, SCRATCH):
            (self.target.path / name).unlink(missing_ok=True)

    def _scratch(self) -> Path:
        """The scratch journal: with the rows of a killed try of the same key, else empty."""
        scratch, state = self.target.path / SCRATCH, self.target.path / STATE
        if _read_state(state) == self.key:
            journal.repair(scratch)
        else:
            scratch.unlink(missing_ok=True)
            write_json(state, self.key)
        return scratch


def _read_state(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None


def keep(path: Path) -> Path:
    """Keep a journal under the next free name of its history, which no later change touches."""
    number, name = 1, path.with_name("rollouts.before-reverify.jsonl")
    while name.exists():
        if name.samefile(path):
            return name  # kept by a try that was killed before it changed anything
        number += 1
        name = path.with_name(f"rollouts.before-reverify.{number}.jsonl")
    try:
        os.link(path, name)
    except OSError:  # a file system without hard links
        scratch = name.with_name(f"{name.name}.tmp")
        shutil.copy2(path, scratch)
        os.replace(scratch, name)
    return name


class _Places:
    """Where in a scratch journal the new row of a rollout stands. Only offsets stay in memory."""

    def __init__(self, path: Path, tasks: int, repeats: int) -> None:
        self._repeats = repeats
        self._offsets = array("q", [-1]) * (tasks * repeats)
        self._file: BinaryIO | None = None
        start = 0
        for end, row in journal.scan(path):
            if row is not None:
                self._offsets[row["task_index"] * repeats + row["repeat"]] = start
            start = end
        if path.exists():
            self._file = path.open("rb")

    def __enter__(self) -> _Places:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._file is not None:
            self._file.close()

    def get(self, row: JSONObject) -> JSONObject | None:
        """The new row of this very rollout; None when it has none, or has been run anew since."""
        new = self.at(row["task_index"], row["repeat"])
        return new if new is not None and new.get("timing") == row.get("timing") else None

    def at(self, index: int, repeat: int) -> JSONObject | None:
        """The row of a task and repeat, the last one if there are several."""
        offset = self._offsets[index * self._repeats + repeat]
        if offset < 0 or self._file is None:
            return None
        self._file.seek(offset)
        row: JSONObject = orjson.loads(self._file.readline())
        return row


def _once(rows: Iterable[JSONObject], size: tuple[int, int]) -> Iterator[JSONObject]:
    """The first row of each rollout."""
    tasks, repeats = size
    seen = bytearray(tasks * repeats)
    for row in rows:
        slot = row["task_index"] * repeats + row["repeat"]
        if not seen[slot]:
            seen[slot] = 1
            yield row


def by_index(path: Path) -> Callable[[int], JSONObject]:
    """Rows of a `tasks.jsonl` by index: only their offsets stay in memory."""
    offsets = array("Q")
    with path.open("rb") as file:
        position = 0
        for line in file:
            offsets.append(position)
            position += len(line)

    def get(index: int) -> JSONObject:
        with path.open("rb") as file:
            file.seek(offsets[index])
            row: JSONObject = orjson.loads(file.readline())
            return row

    return get


async def score_again(client: EnvironmentClient, task: Task[Any], row: JSONObject) -> None:
    """Give a row the outcome that its replay has now.

    A replay that diverges scores nothing: the row fails, because a score of the old verifier beside those of the
    new one would be of another measure.
    """
    try:
        again = await _replayed(client, task, row)
    except RolloutError as e:
        _fail(row, e.kind, str(e))
        return
    except (KeyError, TypeError, ValueError) as e:  # a row that something else wrote
        _fail(row, "harness", f"the row cannot be replayed: {type(e).__name__}: {e}")
        return
    if again.divergences:
        _fail(row, "environment", f"the replay diverged: {again.divergences[0]}")
        return
    reward = again.reward
    row.update(outcome="scored", failure=None)
    row.update(reward=reward.score, components=reward.components, notes=reward.notes)
    for name, value in (("answer", reward.answer), ("judge_usage", again.judge_usage)):
        row.pop(name, None)
        if value is not None:
            row[name] = value


async def _replayed(client: EnvironmentClient, task: Task[Any], row: JSONObject) -> Replayed:
    for left in reversed(range(_TRIES)):
        try:
            return await reverify(client, task, row)
        except RolloutError as e:
            if not (e.retryable and left):
                raise
    raise AssertionError("the last try returns or raises")


def _fail(row: JSONObject, kind: str, message: str) -> None:
    failure = {"kind": kind, "message": f"re-verify: {message}", "during": "reverify"}
    row.update(outcome="failed", reward=None, components={}, notes="", failure=failure)
