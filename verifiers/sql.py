"""Whether a query brings back what the gold query does, on SQLite: read-only, contained, bounded."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from verifiers import code_values
from verifiers.sandbox import MIB, Job, Limits, Provider, SandboxError, local

Row: TypeAlias = tuple[Any, ...]
Comments: TypeAlias = Literal["to_end", "sql"]

_BLOCK: Final = "```"
_LETTER: Final = re.compile(r"[A-Za-z]")
_PRELUDE: Final = "import os, sys; sys.path.insert(0, os.getcwd())"


@dataclass(frozen=True, slots=True)
class SqlLimits:
    """What one query may take: seconds, rows in its result, bytes of one value or row, bytes of memory."""

    seconds: float = 30.0
    rows: int = 200_000
    length: int = 10_000_000
    memory: int = 1_024 * MIB
    output: int = 64 * MIB


@dataclass(frozen=True, slots=True)
class Result:
    """Rows of a query; or None and why there are none."""

    rows: list[Row] | None
    columns: tuple[str, ...] = ()
    error: str = ""


def extract_sql(text: str, comments: Comments = "to_end") -> str | None:
    """The query in a reply: the last closed block marked `sql` that holds a letter; None if there is none.

    `comments`: `to_end` cuts a block off where `--` first occurs, to its end, whatever follows on later lines (the
    published rule of bird_sql); `sql` leaves comments to SQLite.
    """
    for block in reversed(_blocks(text)):
        content = block.partition("--")[0] if comments == "to_end" else block
        if _LETTER.search(content):
            return content.strip()
    return None


def _blocks(text: str) -> list[str]:
    found: list[str] = []
    start = 0
    lower = text.lower() if text.isascii() else text  # lower() may change the length of other text
    while (start := lower.find(_BLOCK + "sql", start)) >= 0:
        start += len(_BLOCK) + 3
        end = text.find(_BLOCK, start)
        if end < 0:
            break
        found.append(text[start:end])
        start = end + len(_BLOCK)
    return found


def execute(
    database: Path, queries: Sequence[str], limits: SqlLimits = SqlLimits(), provider: Provider | None = None
) -> list[Result]:
    """Run each query, a single statement, on its own connection to an SQLite file that none of them can change.

    Never raises on a query. Raises `SandboxError` when the sandbox fails, or the file is no database.
    """
    outcome = (provider or local()).run(_job(database, queries, limits))
    lines = outcome.stdout.split(b"\n")[:-1]
    results = [_result(line) for line in lines[: len(queries)]]
    if not results and outcome.killed_by is None and outcome.exit_code > 0:
        raise SandboxError(f"{database}: {outcome.error_text.strip().rpartition(chr(10))[2][:300]}")
    reason = f"ended for its {outcome.killed_by}" if outcome.killed_by else f"crashed ({outcome.exit_code})"
    return results + [Result(None, error=reason)] * (len(queries) - len(results))


def _job(database: Path, queries: Sequence[str], limits: SqlLimits) -> Job:
    asked = {
        "database": str(database.resolve()),
        "queries": list(queries),
        "seconds": limits.seconds,
        "rows": limits.rows,
        "length": limits.length,
    }
    return Job(
        _source("sql_guest.py"),
        json.dumps(asked).encode(),
        Limits(seconds=limits.seconds * len(queries) + 2, memory=limits.memory, output=limits.output),
        {"code_values.py": _source("code_values.py").encode()},
        prelude=_PRELUDE,
        readable=(str(database.resolve()),),
        own_user=False,
        name="sql.py",
    )


@cache
def _source(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _result(line: bytes) -> Result:
    try:
        said = code_values.loads(line)
        if "error" in said:
            return Result(None, error=str(said["error"]))
        return Result([tuple(row) for row in said["rows"]], tuple(said["columns"]))
    except (ValueError, TypeError, KeyError):
        return Result(None, error="a result that is none")


def same_rows(rows: Iterable[Row], gold: Iterable[Row]) -> bool:
    """Equality as sets of rows: order and repetition do not count, the order of columns does (BIRD's rule)."""
    return set(rows) == set(gold)


def same_columns(
    rows: Sequence[Row],
    gold: Sequence[Row],
    *,
    columns: Sequence[int] | None = None,
    ordered: bool = False,
    tolerance: float = 1e-2,
) -> bool:
    """Whether each gold column (or those in `columns`) equals some column of `rows`; more columns do no harm.

    The rule of Spider 2: without `ordered` each column is compared as a multiset; numbers agree within
    `tolerance`, numeric text is a number, and NULL and NaN are 0.
    """
    if len(rows) != len(gold):
        return False
    have = [_column(c, ordered) for c in zip(*rows, strict=True)]
    want = [_column(c, ordered) for c in zip(*gold, strict=True)]
    chosen = range(len(want)) if columns is None else [i for i in columns if i < len(want)]
    return all(any(_same_column(want[i], column, tolerance) for column in have) for i in chosen)


def _column(values: Iterable[Any], ordered: bool) -> list[Any]:
    column = [_number_or_same(value) for value in values]
    if not ordered:
        column.sort(key=lambda v: (0, v, "") if isinstance(v, int | float) else (1, 0, str(v)))
    return column


def _number_or_same(value: Any) -> Any:
    if value is None:
        return 0
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value
    return 0 if isinstance(value, float) and math.isnan(value) else value


def _same_column(a: list[Any], b: list[Any], tolerance: float) -> bool:
    return all(_same(x, y, tolerance) for x, y in zip(a, b, strict=True))


def _same(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return bool(a == b or math.isclose(a, b, rel_tol=0.0, abs_tol=tolerance))
    return bool(a == b)
