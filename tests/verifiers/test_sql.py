"""SQL: extraction, both equalities, and queries that would rather do something else."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiers.sandbox import MIB, SandboxError
from verifiers.sandbox_local import LocalProvider
from verifiers.sql import Row, SqlLimits, execute, extract_sql, same_columns, same_rows

pytestmark = pytest.mark.slow

QUICK = SqlLimits(seconds=1.0, rows=1_000, length=1_000_000, memory=256 * MIB, output=8 * MIB)

HOSTILE = {
    "endless": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n",
    "many rows": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n",
    "product": "SELECT count(*) FROM t a, t b, t c, t d, t e, t f, t g, t h, t i, t j, t k, t l, t m",
    "memory": "WITH RECURSIVE n(x) AS (SELECT 1 UNION SELECT x + 1 FROM n) SELECT max(x) FROM n",
    "blob": "SELECT randomblob(2000000000)",
    "long text": "SELECT printf('%.*c', 2000000000, 'x')",
    "doubling": "WITH RECURSIVE n(x) AS (SELECT 'x' UNION ALL SELECT x || x FROM n) SELECT x FROM n",
    "insert": "INSERT INTO t VALUES (9, 'z', 1.0)",
    "delete": "DELETE FROM t",
    "drop": "DROP TABLE t",
    "attach": "ATTACH 'other.db' AS other",
    "attach secret": "ATTACH '/etc/passwd' AS p",
    "vacuum": "VACUUM INTO 'copy.db'",
    "pragma": "PRAGMA writable_schema = 1",
    "extension": "SELECT load_extension('x')",
    "temp": "CREATE TEMP TABLE x AS SELECT 1",
    "transaction": "BEGIN EXCLUSIVE",
    "two": "SELECT 1; DROP TABLE t",
    "nothing": "",
    "nonsense": "SELEC",
    "nul": "SELECT 1\x00",
    "surrogate": "SELECT '\udc80'",
    "parameter": "SELECT ?",
    "search": "SELECT instr(x, substr(x, 4000000) || 'b') FROM (SELECT replace(hex(zeroblob(4000000)), 0, 'a') x)",
    "databases": "SELECT * FROM pragma_database_list",
    "returning": "DELETE FROM t RETURNING id",
    "many blobs": "SELECT zeroblob(9000000) FROM t a, t b",
    "wide": "SELECT " + ", ".join(["zeroblob(9000000)"] * 200),
    "deep": "SELECT " + "(" * 50_000 + "1" + ")" * 50_000,
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a #1?.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price REAL)")
    rows = [(1, "a", 1.5), (2, "b", None), (3, "a", 2.5), *((i, f"n{i}", float(i)) for i in range(4, 60))]
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    connection.execute("CREATE TABLE raw (x)")
    connection.execute("INSERT INTO raw VALUES (CAST(x'61ff62' AS TEXT)), (x'00ff'), (9223372036854775807)")
    connection.commit()
    connection.close()
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("namespaces", [True, False])
def test_rows_come_back_as_sqlite_has_them(database: Path, namespaces: bool) -> None:
    queries = [
        "SELECT name, price FROM t WHERE id < 3 ORDER BY id",
        "SELECT x FROM raw",
        "SELECT * FROM t WHERE 0",
    ]
    first, raw, none = execute(database, queries, QUICK, LocalProvider(namespaces=namespaces))
    assert first.rows == [("a", 1.5), ("b", None)] and first.columns == ("name", "price")
    assert raw.rows == [("ab",), (b"\x00\xff",), (2**63 - 1,)]
    assert none.rows == [] and none.columns == ("id", "name", "price")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_queries_are_errors(name: str, database: Path) -> None:
    before = database.read_bytes()
    started = time.monotonic()
    result = execute(database, [HOSTILE[name]], QUICK)[0]
    if name not in ("nothing", "long text"):  # the latter is NULL, if SQLite is done with it in time
        assert result.rows is None and result.error
    assert result.rows in (None, [], [(None,)])
    assert time.monotonic() - started < 6
    assert database.read_bytes() == before
    assert [p.name for p in database.parent.iterdir()] == [database.name]


def test_a_bad_query_does_not_harm_the_next(database: Path) -> None:
    results = execute(database, [HOSTILE["blob"], HOSTILE["drop"], "SELECT count(*) FROM t"], QUICK)
    assert [r.rows for r in results] == [None, None, [(59,)]]


def test_what_is_no_database_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"missing\.sqlite"):
        execute(tmp_path / "missing.sqlite", ["SELECT 1"], QUICK)


@pytest.mark.parametrize(
    ("text", "to_end", "sql"),
    [
        ("```sql\nSELECT 1\n```", "SELECT 1", "SELECT 1"),
        ("```SQL SELECT 1```", "SELECT 1", "SELECT 1"),
        ("```sql\nSELECT 1\n``` or ```sql\nSELECT 2\n```", "SELECT 2", "SELECT 2"),
        ("```sql\nSELECT 1\n``` or ```sql\n  12 \n```", "SELECT 1", "SELECT 1"),
        ("```sql\nSELECT a -- why\nFROM t\n```", "SELECT a", "SELECT a -- why\nFROM t"),
        ("```sql\n-- why\nSELECT 1\n```", None, "-- why\nSELECT 1"),
        ("```sql\nSELECT 1", None, None),
        ("```\nSELECT 1\n```", None, None),
        ("SELECT 1", None, None),
        ("", None, None),
        ("İ```sql\nSELECT 1\n```", "SELECT 1", "SELECT 1"),
    ],
)
def test_extraction(text: str, to_end: str | None, sql: str | None) -> None:
    assert (extract_sql(text), extract_sql(text, "sql")) == (to_end, sql)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["```sql", "```", "--", "S", "\n", "İ", "\ud800"])).map("".join))
def test_extraction_never_raises(text: str) -> None:
    for found in (extract_sql(text), extract_sql(text, "sql")):
        assert found is None or "S" in found


@pytest.mark.parametrize(
    ("rows", "gold", "as_rows", "as_columns"),
    [
        ([(1, "a"), (2, "b")], [(2, "b"), (1, "a")], True, True),
        ([(1,), (1,)], [(1,)], True, False),
        ([("a", 1)], [(1, "a")], False, True),
        ([(1, "a", 9)], [(1, "a")], False, True),
        ([(1,)], [(1, "a")], False, False),
        ([(1.0,)], [(1,)], True, True),
        ([(1.004,)], [(1,)], False, True),
        ([(1.02,)], [(1,)], False, False),
        ([("1",)], [(1,)], False, True),
        ([(None,)], [(0,)], False, True),
        ([(float("nan"),)], [(0,)], False, True),
        ([], [], True, True),
        ([], [(1,)], False, False),
        ([("b", 2), ("a", 1)], [("a", 2), ("b", 1)], False, True),
        ([(b"x",)], [(b"x",)], True, True),
    ],
)
def test_equalities(rows: list[Row], gold: list[Row], as_rows: bool, as_columns: bool) -> None:
    assert (same_rows(rows, gold), same_columns(rows, gold)) == (as_rows, as_columns)


def test_columns_by_choice_and_in_order() -> None:
    assert same_columns([(1, "z")], [(1, "a")], columns=[0]) and not same_columns(
        [(1, "z")], [(1, "a")], columns=[1]
    )
    assert not same_columns([(2,), (1,)], [(1,), (2,)], ordered=True)
    assert same_columns([(10.4,)], [(10,)], tolerance=0.5)
