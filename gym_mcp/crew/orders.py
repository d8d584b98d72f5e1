"""What a worker process is told to run, and what it tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from gym_mcp.types import JSONObject

_HEAVY: Final = frozenset(
    {"response", "calls", "messages", "spans", "harness_facts", "components", "notes", "before_group", "ledger"}
)


@dataclass(slots=True, eq=False)
class Order:
    """Rollouts of one task for one process: a single one, or all that a group lacks.

    `offset` is where the task's line in `tasks.jsonl` begins. `rows` are the members of the group that have ended,
    `terminal` the repeats that are in `rollouts.jsonl` already.
    """

    index: int
    offset: int
    repeats: list[int]
    rows: list[JSONObject] = field(default_factory=list)
    terminal: list[int] = field(default_factory=list)
    deaths: int = 0
    """Processes that died over this order while they had no other."""
    losses: int = 0
    """Nodes of a cluster that were lost with this order."""
    task: bytes = b""
    """The task's line, for processes that do not see the run directory."""

    @property
    def size(self) -> int:
        """Rollouts that it takes the room of."""
        return len(self.repeats) or 1

    def wire(self, number: int) -> JSONObject:
        """The order as a message."""
        return {
            "id": number,
            "index": self.index,
            "offset": self.offset,
            "repeats": self.repeats,
            "rows": self.rows,
            "terminal": self.terminal,
            **({"task": orjson.Fragment(self.task)} if self.task else {}),
        }

    def settle(self, repeat: int) -> bool:
        """Note that a rollout of the task is terminal; whether it is one of those to run."""
        self.terminal.append(repeat)
        if repeat not in self.repeats:
            return False
        self.repeats.remove(repeat)
        return True


def plan(
    tasks: Path, repeats: int, done: bytearray, waiting: Callable[[int], tuple[list[JSONObject], list[int]]] | None
) -> Iterator[Order]:
    """Orders for what `done` (one byte a rollout, task-major) does not mark.

    All tasks once, then all again, as `coordinator.remaining`. With `waiting` (a group's members that have
    ended, and which of them are terminal) whole tasks: their rollouts are scored together.
    """
    if waiting is None:
        for repeat in range(repeats):
            for index, offset in _lines(tasks):
                if not done[index * repeats + repeat]:
                    yield Order(index, offset, [repeat])
        return
    for index, offset in _lines(tasks):
        rows, terminal = waiting(index)
        missing = [r for r in range(repeats) if not done[index * repeats + r]]
        if missing or rows:
            yield Order(index, offset, missing, rows, terminal)


def _lines(path: Path) -> Iterator[tuple[int, int]]:
    """(number, offset) of each line."""
    offset = 0
    with path.open("rb") as file:
        for index, line in enumerate(file):
            yield index, offset
            offset += len(line)


def compact(row: JSONObject) -> JSONObject:
    """A row without what no count and no display needs: the transcript stays in the journal."""
    slim = {key: value for key, value in row.items() if key not in _HEAVY}
    slim["ledger"] = [{"error": entry["error"]} for entry in row.get("ledger") or ()]
    if failure := row.get("failure"):
        slim["failure"] = {"kind": failure["kind"], "message": failure["message"]}
    return slim
