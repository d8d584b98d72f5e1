"""A stand-in for a published database, made from the SQL dump in a row's prompt."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from functools import cache
from pathlib import Path
from typing import Any

from .databases import folder


@cache
def from_dump(text: str, gold: str) -> Path:
    """A database made from the SQL dump of a row, an excerpt of the published one.

    Its few rows agree by accident where the whole would not. So every row of a table that none of its own keys
    ties to another table is there once more, under a key of its own and with other texts, but for those that
    `gold` names.
    """
    digest = hashlib.sha256(f"{text}\0{gold}".encode("utf-8", "replace")).hexdigest()[:24]
    path = folder() / f"dump-{digest}.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.set_authorizer(_only_tables)
    connection.execute("BEGIN")
    for statement in _statements(text):
        try:
            connection.execute(statement)
        except (sqlite3.Error, sqlite3.Warning, ValueError):
            continue  # the dump's own marks of what was left out
    connection.execute("COMMIT")
    connection.set_authorizer(None)
    literals = set(re.findall(r"'((?:[^']|'')*)'", gold))
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        _double(connection, table, literals)
    connection.close()
    return path


def _only_tables(action: int, *_: str | None) -> int:
    denied = {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA}
    return sqlite3.SQLITE_DENY if action in denied else sqlite3.SQLITE_OK


def _statements(text: str) -> list[str]:
    found, pending = [], ""
    for line in text.split("\n"):
        if line.strip() == "..." and not pending.strip():
            continue
        pending += line + "\n"
        if line.rstrip().endswith(";") and sqlite3.complete_statement(pending):
            if not re.match(r"\s*(BEGIN|COMMIT|ROLLBACK)\b", pending, re.IGNORECASE):
                found.append(pending)
            pending = ""
    return found


def _double(connection: sqlite3.Connection, table: str, literals: set[str]) -> None:
    name = '"' + table.replace('"', '""') + '"'
    tied = {row[3] for row in connection.execute(f"PRAGMA foreign_key_list({name})")}
    columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
    keys = {column[1] for column in columns if column[5]}
    if keys & tied:
        return
    for row in connection.execute(f"SELECT * FROM {name}").fetchall():
        values = [_other(v, c[1], keys, tied, literals, table) for v, c in zip(row, columns, strict=True)]
        try:
            connection.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(values))})", values)
        except sqlite3.Error:
            continue


def _other(value: Any, column: str, keys: set[str], tied: set[str], literals: set[str], table: str) -> Any:
    if isinstance(value, str) and column not in tied and (column in keys or value not in literals):
        return f"{value}~{table}"
    if isinstance(value, int) and column in keys:
        return value + 1_000_000_007
    return value
