"""The sandbox's side of SQL execution: runs single queries on one SQLite file, which it can only read.

Reads {"database", "queries", "seconds", "rows", "length"} from stdin, writes one line a query:
{"columns", "rows"} or {"error"}.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time

import code_values  # type: ignore[import-not-found]  # laid out beside this file in the sandbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HARMLESS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_PRAGMAS = {"table_info", "table_xinfo", "table_list", "foreign_key_list", "index_list", "index_info"}
_STEPS = 10_000
"""Virtual machine instructions between two looks at the clock."""


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action in _HARMLESS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and second not in ("load_extension", "fts3_tokenizer"):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and (first or "").lower() in _PRAGMAS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def connect(job: dict[str, Any]) -> sqlite3.Connection:
    """The database, read-only, with SQLite's own limits narrowed."""
    path = job["database"].replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True, isolation_level=None)
    connection.text_factory = lambda data: data.decode("utf-8", "ignore")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, job["length"])
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000)
    connection.set_authorizer(_authorize)
    return connection


def query(connection: sqlite3.Connection, text: str, job: dict[str, Any]) -> dict[str, Any]:
    """Rows of one query, or why there are none."""
    deadline = time.monotonic() + job["seconds"]
    connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS)
    try:
        cursor = connection.execute(text)
        rows = cursor.fetchmany(job["rows"] + 1)
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError) as e:
        late = time.monotonic() > deadline
        return {"error": "took too long" if late else f"{type(e).__name__}: {e}"[:300]}
    if len(rows) > job["rows"]:
        return {"error": f"more than {job['rows']} rows"}
    return {"columns": [c[0] for c in cursor.description or ()], "rows": rows}


def main() -> None:
    """Answer all queries in order."""
    job = json.load(sys.stdin)
    for text in job["queries"]:
        connection = connect(job)
        sys.stdout.write(code_values.dumps(query(connection, text, job)) + "\n")
        sys.stdout.flush()
        connection.close()


if __name__ == "__main__":
    main()
