"""Where a worker process finds its tasks and puts its rows: the run directory, or the run itself, elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import orjson

from gym_mcp.coordinator.journal import Journal, line_of
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.crew.shared_journal import SharedJournal
from gym_mcp.types import JSONObject


class Desk(Protocol):
    """The journals of a worker process, and the rows of its tasks."""

    @property
    def where(self) -> str: ...

    @property
    def rows(self) -> Journal: ...

    @property
    def waiting(self) -> Journal: ...

    def task(self, order: JSONObject) -> JSONObject:
        """The task's row."""
        ...

    def said(self) -> tuple[JSONObject, list[bytes]]:
        """What a message on rows says besides, and the lines that go with it."""
        ...

    def close(self) -> None: ...


class LocalDesk:
    """The run directory itself."""

    def __init__(self, directory: RunDirectory, *, groups: bool) -> None:
        self.where = str(directory.tasks_path)
        self.rows = SharedJournal(directory.rollouts_path)
        self.waiting = SharedJournal(directory.waiting_path) if groups else self.rows
        self._groups = groups
        self._tasks = directory.tasks_path.open("rb")

    def task(self, order: JSONObject) -> JSONObject:
        self._tasks.seek(order["offset"])
        row: JSONObject = orjson.loads(self._tasks.readline())
        return row

    def said(self) -> tuple[JSONObject, list[bytes]]:
        return {"at": self.rows.end}, []

    def close(self) -> None:
        self._tasks.close()
        self.rows.close()
        if self._groups:
            self.waiting.close()


class Outbox(Journal):
    """Rows for a run on another machine, which journals them itself."""

    def __init__(self) -> None:
        self.path = Path("rollouts.jsonl")
        self.lines: list[bytes] = []

    def append(self, *rows: JSONObject) -> None:
        self.lines += list(map(line_of, rows))  # all or none

    def close(self) -> None:
        """Nothing is open."""


class RemoteDesk:
    """No directory: orders bring their tasks, and rows leave as the lines that the run journals."""

    def __init__(self) -> None:
        self.where = "tasks.jsonl"
        self.rows = self.waiting = Outbox()

    def task(self, order: JSONObject) -> JSONObject:
        row: JSONObject = order["task"]
        return row

    def said(self) -> tuple[JSONObject, list[bytes]]:
        lines, self.rows.lines = self.rows.lines, []
        return {"lines": len(lines)}, lines

    def close(self) -> None:
        """Nothing is open."""
