"""One episode's workplace: tables that share their rows with all other episodes until something is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Self

from gym_mcp import ToolError

from .tables import COLUMNS, Row, Tables

CASE_COUNTS: Final = frozenset({"status", "list_name", "board"})
"""Columns whose upper and lower case is compared; all others are compared without."""
_THING: Final = {
    "email": "email",
    "calendar": "event",
    "project_management": "task",
    "customer_relationship_manager": "customer",
}


class Table:
    """Rows in order, each with an id in its first column. The rows themselves are never changed in place."""

    __slots__ = ("_own", "_rows", "columns", "key", "name", "thing")

    def __init__(self, name: str, rows: Sequence[Row]) -> None:
        self.name = name
        self.columns = COLUMNS[name]
        self.key = self.columns[0]
        self.thing = _THING[name]
        self._rows = rows
        self._own: list[Row] | None = None

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def written(self) -> bool:
        """Whether this episode has changed the table."""
        return self._own is not None

    def find(self, id: str) -> Row:
        """The row with this id; `ToolError` when there is none."""
        return self._rows[self._position(id)]

    def value(self, id: str, column: str) -> dict[str, str | None]:
        """One named cell, the column checked."""
        row = self.find(id)
        if column not in row:
            raise ToolError(f"Unknown field '{column}'. Fields: {', '.join(self.columns)}.")
        return {column: row[column]}

    def add(self, cells: Mapping[str, str | None]) -> str:
        """Append a row under the next free id, which is returned."""
        key = max((int(row[self.key] or 0) for row in self._rows), default=-1) + 1
        row = {column: cells.get(column) for column in self.columns} | {self.key: f"{key:08}"}
        self._writable().append(row)
        return f"{key:08}"

    def update(self, id: str, column: str, value: str) -> None:
        """Set one cell of the row with this id; the id itself cannot be set."""
        at = self._position(id)
        if column not in self.columns or column == self.key:
            raise ToolError(f"Unknown field '{column}'. Fields: {', '.join(self.columns[1:])}.")
        self._writable()[at] = {**self._rows[at], column: value}

    def delete(self, id: str) -> None:
        """Remove the row with this id."""
        at = self._position(id)
        del self._writable()[at]

    def _position(self, id: str) -> int:
        for at, row in enumerate(self._rows):
            if row[self.key] == id:
                return at
        raise ToolError(f"{self.thing.capitalize()} not found: there is no {self.key} '{id}'.")

    def _writable(self) -> list[Row]:
        if self._own is None:
            self._own = list(self._rows)
            self._rows = self._own
        return self._own

    def copy(self) -> Table:
        """An independent table with the same rows."""
        twin = Table(self.name, self._rows)
        if self._own is not None:
            twin._writable()
        return twin

    def same_as(self, other: Table) -> bool:
        """Whether both hold equal rows in the same order."""
        if self._rows is other._rows:
            return True
        if len(self) != len(other):
            return False
        return all(a is b or _folded(a) == _folded(b) for a, b in zip(self._rows, other._rows, strict=True))


def _folded(row: Row) -> dict[str, str | None]:
    return {c: v if v is None or c in CASE_COUNTS else v.lower() for c, v in row.items()}


class World:
    """The state that counts: mail, calendar, tasks, customers and the plots that were made."""

    __slots__ = ("calendar", "customers", "emails", "plots", "tables", "tasks")

    def __init__(self, tables: Tables) -> None:
        rows = tables.writable
        self.tables = tables
        self.emails = Table("email", rows["email"])
        self.calendar = Table("calendar", rows["calendar"])
        self.tasks = Table("project_management", rows["project_management"])
        self.customers = Table("customer_relationship_manager", rows["customer_relationship_manager"])
        self.plots: list[str] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = type(self)(self.tables)
        twin.emails, twin.calendar = self.emails.copy(), self.calendar.copy()
        twin.tasks, twin.customers = self.tasks.copy(), self.customers.copy()
        twin.plots = list(self.plots)
        return twin

    def parts(self) -> Iterable[Table]:
        """The tables that tools may change."""
        return (self.emails, self.calendar, self.tasks, self.customers)

    def differences(self, other: World) -> list[str]:
        """Names of the tables that differ, `plots` among them."""
        names = [
            mine.name for mine, theirs in zip(self.parts(), other.parts(), strict=True) if not mine.same_as(theirs)
        ]
        if [p.lower() for p in self.plots] != [p.lower() for p in other.plots]:
            names.append("plots")
        return names
