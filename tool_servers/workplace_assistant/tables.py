"""The workplace's tables as they lie on disk: parsed once per directory, never changed afterwards."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

Row: TypeAlias = Mapping[str, str | None]

FILES: Final = {
    "email": "emails.csv",
    "calendar": "calendar_events.csv",
    "project_management": "project_tasks.csv",
    "customer_relationship_manager": "customer_relationship_manager_data.csv",
}
"""Tables that tools may change."""
ANALYTICS: Final = "analytics_data.csv"
DIRECTORY: Final = "email_addresses.csv"
"""One address a line, without a header."""
COLUMNS: Final = {
    "email": ("email_id", "inbox/outbox", "sender/recipient", "subject", "sent_datetime", "body"),
    "calendar": ("event_id", "event_name", "participant_email", "event_start", "duration"),
    "project_management": ("task_id", "task_name", "assigned_to_email", "list_name", "due_date", "board"),
    "customer_relationship_manager": (
        "customer_id",
        "assigned_to_email",
        "customer_name",
        "customer_email",
        "customer_phone",
        "last_contact_date",
        "product_interest",
        "status",
        "follow_up_by",
        "notes",
    ),
    "analytics": (
        "date_of_visit",
        "visitor_id",
        "page_views",
        "session_duration_seconds",
        "traffic_source",
        "user_engaged",
    ),
}
DEFAULT: Final = Path(__file__).resolve().parent / "tables"


@dataclass(frozen=True, slots=True)
class Tables:
    """All tables of one directory. `now` is the end of the last day on which a mail was sent."""

    writable: Mapping[str, Sequence[Row]]
    visits: Sequence[Row]
    directory: Sequence[str]
    now: str
    mail_text: Mapping[int, str]
    """Lower-case text in which a mail is searched, by `id()` of its row: the rows live as long as this does."""


def mail_text(row: Row) -> str:
    """What a search for mail looks at, in lower case."""
    return f"{row['subject']} {row['body']} {row['sender/recipient']}".lower()


@cache
def load_tables(folder: Path) -> Tables:
    """Parse a directory of tables. `ValueError` says which file is missing or has other columns."""
    writable = {name: _read(folder / file, COLUMNS[name]) for name, file in FILES.items()}
    visits = _read(folder / ANALYTICS, COLUMNS["analytics"])
    lines = _text(folder / DIRECTORY).splitlines()
    directory = tuple(line.strip().lower() for line in lines if line.strip())
    last = max((row["sent_datetime"] or "" for row in writable["email"]), default="")
    texts = {id(row): mail_text(row) for row in writable["email"]}
    return Tables(writable, visits, directory, f"{last[:10]} 23:59:00", texts)


def _read(path: Path, columns: Sequence[str]) -> tuple[Row, ...]:
    reader = csv.reader(_text(path).splitlines(keepends=True))
    header = tuple(next(reader, ()))
    if header != tuple(columns):
        raise ValueError(f"{path}: columns {', '.join(columns)} are expected, not {', '.join(header) or 'none'}")
    return tuple(_row(path, columns, cells, reader.line_num) for cells in reader if cells)


def _row(path: Path, columns: Sequence[str], cells: Sequence[str], line: int) -> Row:
    if len(cells) != len(columns):
        raise ValueError(f"{path}:{line}: {len(columns)} cells are expected, not {len(cells)}")
    if columns[0].endswith("_id") and not cells[0].isdecimal():
        raise ValueError(f"{path}:{line}: {columns[0]} must be a number, not {cells[0]!r}")
    return {column: cell if cell else None for column, cell in zip(columns, cells, strict=True)}


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except OSError as e:
        raise ValueError(f"{path}: {e.strerror}") from None
