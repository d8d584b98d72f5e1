"""The databases of the bundled tasks, made anew from a fixed seed, and where to find published ones."""

from __future__ import annotations

import atexit
import random
import shutil
import sqlite3
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

_FIRST: Final = ("Ada", "Bela", "Cleo", "Dora", "Emil", "Finn", "Gita", "Hugo", "Ines", "Jon", "Kira", "Levi")
_LAST: Final = ("Abel", "Brook", "Costa", "Dietz", "Ekman", "Flores", "Grau", "Hale", "Ito", "Jansen")
_TOWNS: Final = ("Norhaven", "Silt", "Easting", "Caldera", "Westmark")
_GENRES: Final = ("crime", "history", "poetry", "science", "travel")
_NOUNS: Final = (
    "River",
    "Lamp",
    "Harbour",
    "Orchard",
    "Signal",
    "Winter",
    "Compass",
    "Bridge",
    "Garden",
    "Shadow",
)

_LIBRARY: Final = """
CREATE TABLE branches (branch_id INTEGER PRIMARY KEY, town TEXT NOT NULL, opened DATE NOT NULL, seats INTEGER);
CREATE TABLE members (member_id INTEGER PRIMARY KEY, name TEXT NOT NULL, town TEXT, joined DATE NOT NULL,
  kind TEXT);
CREATE TABLE books (book_id INTEGER PRIMARY KEY, title TEXT NOT NULL, genre TEXT NOT NULL, year INTEGER,
  pages INTEGER);
CREATE TABLE loans (loan_id INTEGER PRIMARY KEY, book_id INTEGER NOT NULL REFERENCES books (book_id),
  member_id INTEGER NOT NULL REFERENCES members (member_id),
  branch_id INTEGER NOT NULL REFERENCES branches (branch_id),
  lent DATE NOT NULL, returned DATE, fine REAL);
"""
_RAILWAY: Final = """
CREATE TABLE stations (code TEXT PRIMARY KEY, name TEXT NOT NULL, `Altitude (m)` INTEGER, tracks INTEGER);
CREATE TABLE trains (train_id INTEGER PRIMARY KEY, operator TEXT NOT NULL, seats INTEGER, built INTEGER);
CREATE TABLE runs (run_id INTEGER PRIMARY KEY, train_id INTEGER NOT NULL REFERENCES trains (train_id),
  origin TEXT NOT NULL REFERENCES stations (code), goal TEXT NOT NULL REFERENCES stations (code),
  day DATE NOT NULL, passengers INTEGER, delay REAL);
"""


def _day(rng: random.Random, first: int, last: int) -> str:
    return f"{rng.randint(first, last)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def _library(rng: random.Random) -> dict[str, list[tuple[Any, ...]]]:
    branches = [(i, town, _day(rng, 1950, 2005), rng.randint(20, 200)) for i, town in enumerate(_TOWNS, 1)]
    members = [
        (i, f"{rng.choice(_FIRST)} {rng.choice(_LAST)}", rng.choice([*_TOWNS, None]), _day(rng, 2005, 2020),
         rng.choice(("adult", "child", "senior")))
        for i in range(1, 41)
    ]  # fmt: skip
    books = [
        (i, f"The {rng.choice(_NOUNS)} {i}", rng.choice(_GENRES), rng.randint(1960, 2020), rng.randint(80, 900))
        for i in range(1, 61)
    ]
    loans: list[tuple[Any, ...]] = []
    for i in range(1, 301):
        returned = rng.choice((_day(rng, 2023, 2023), None))
        fine = rng.choice((None, None, 0.5, 1.25, 3.0)) if returned else None
        who = rng.randint(1, 38), rng.randint(1, 5)
        loans.append((i, rng.randint(1, 57), *who, _day(rng, 2021, 2022), returned, fine))
    return {"branches": branches, "members": members, "books": books, "loans": loans}


def _railway(rng: random.Random) -> dict[str, list[tuple[Any, ...]]]:
    names = (
        "Alder Cross",
        "Birch Hill",
        "Cold Pass",
        "Dune End",
        "Elm Gate",
        "Fern Valley",
        "Gull Point",
        "Heath",
    )
    stations = [("".join(w[0] for w in n.split()) + str(i), n, rng.randint(2, 1900), rng.randint(1, 12))
                for i, n in enumerate(names)]  # fmt: skip
    operators = ("Northline", "Valley Rail", "Coast Express")
    trains = [(i, rng.choice(operators), rng.randint(90, 640), rng.randint(1975, 2022)) for i in range(1, 21)]
    runs: list[tuple[Any, ...]] = []
    for i in range(1, 401):
        origin, goal = rng.sample([s[0] for s in stations], 2)
        delay = rng.choice((None, 0.0, round(rng.uniform(0, 45), 1)))
        runs.append((i, rng.randint(1, 19), origin, goal, _day(rng, 2022, 2023), rng.randint(5, 600), delay))
    return {"stations": stations, "trains": trains, "runs": runs}


_BUNDLED: Final = {"town_library": (_LIBRARY, _library), "railway": (_RAILWAY, _railway)}
BUNDLED: Final = tuple(_BUNDLED)


@cache
def folder() -> Path:
    """Where this process keeps the databases that it makes; removed at its end."""
    path = Path(tempfile.mkdtemp(prefix="bird-sql-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@cache
def bundled(db_id: str) -> Path:
    """The file of a bundled database; made on first use."""
    path = folder() / f"{db_id}.sqlite"
    schema, make = _BUNDLED[db_id]
    connection = sqlite3.connect(path)
    connection.executescript(schema)
    for table, rows in make(random.Random(f"bird_sql/{db_id}")).items():
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    connection.commit()
    connection.close()
    return path


def dump(db_id: str, rows: int = 3) -> str:
    """Schema and first rows of a bundled database, as SQL for a prompt."""
    connection = sqlite3.connect(bundled(db_id))
    lines: list[str] = []
    for name, schema in connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall():
        lines.append(schema + ";")
        for row in connection.execute(f"SELECT * FROM {name} LIMIT {rows}"):
            values = ", ".join("NULL" if v is None else repr(v) for v in row)
            lines.append(f"INSERT INTO {name} VALUES ({values});")
        lines.append("...")
    connection.close()
    return "\n".join(lines)


def published(below: Path, db_id: str) -> Path | None:
    """The file of a published database below a folder, in BIRD's layout or flat."""
    for path in (below / db_id / f"{db_id}.sqlite", below / f"{db_id}.sqlite"):
        if path.is_file():
            return path
    return None
