"""Groups of a run on several processes: which of their members have ended, and wait on disk for the others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gym_mcp.coordinator.groups import as_alone
from gym_mcp.crew.orders import Order
from gym_mcp.crew.shared_journal import SharedJournal
from gym_mcp.types import JSONObject


class WaitingRoom:
    """Repeats that wait, by task. Their rows are on disk, and read when another process takes a group up."""

    def __init__(self, path: Path, repeats: int, waiting: dict[int, set[int]]) -> None:
        self.path = path
        self._repeats = repeats
        self._waiting = waiting
        self._journal = SharedJournal(path)

    def kept(self, index: int, repeat: int) -> None:
        """A member has ended and waits."""
        self._waiting.setdefault(index, set()).add(repeat)

    def scored(self, index: int) -> None:
        """Rows of the group are terminal."""
        self._waiting.pop(index, None)

    def is_whole(self, index: int) -> bool:
        """Whether all members of a group have ended."""
        return len(self._waiting.get(index, ())) == self._repeats

    def holds(self, index: int) -> bool:
        return index in self._waiting

    def add(self, *rows: JSONObject) -> None:
        """Journal members that have ended. Raises `JournalError`."""
        self._journal.append(*(as_alone(row) for row in rows))
        for row in rows:
            self.kept(row["task_index"], row["repeat"])

    def take(self, index: int, repeat: int, lines: Iterable[bytes]) -> None:
        """Journal a member that has ended, as the line that it is. Raises `JournalError`."""
        self._journal.write(lines)
        self.kept(index, repeat)

    def rows_of(self, index: int) -> list[JSONObject]:
        """The members of a group that wait, the first of each repeat."""
        found: dict[int, JSONObject] = {}
        for row in self._journal.rows_since(0):
            if row["task_index"] == index:
                found.setdefault(row["repeat"], row)
        return list(found.values())

    def rest_of(self, order: Order) -> Order:
        """The order without what has ended meanwhile, with the rows that its group has."""
        rows = self.rows_of(order.index)
        ended = {row["repeat"] for row in rows}
        for repeat in ended:
            self.kept(order.index, repeat)
        missing = [repeat for repeat in order.repeats if repeat not in ended]
        return Order(order.index, order.offset, missing, rows, order.terminal, order.deaths, order.losses)

    def condemned(self, order: Order, why: str) -> list[JSONObject]:
        """The terminal rows of a group that cannot be scored without a process dying."""
        rows = [row for row in self.rows_of(order.index) if row["repeat"] not in order.terminal]
        for row in rows:
            if row["outcome"] == "scored":
                failure = {"kind": "verifier", "message": why}
                row.update(outcome="failed", failure=failure, reward=None, components={}, notes="")
        return rows

    def close(self) -> None:
        """Close the journal; nothing is left of it when no group waits."""
        self._journal.close()
        if not self._waiting:
            self.path.unlink(missing_ok=True)
