"""BIRD's archive: the questions, and the databases that the environment needs, which are laid beside the rows."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

MAX_VALUE = 100
"""Characters of a value in a prompt."""


def read(files: list[Path], folder: Path) -> Iterator[dict[str, Any]]:
    """The questions of the archive with the `schema` of their databases, which go to `folder/databases`."""
    databases = folder / "databases"
    databases.mkdir(exist_ok=True)
    questions: list[dict[str, Any]] = []
    for file in files:
        questions += _unpack(file, databases)
    described = cache(lambda name: schema(databases / name / f"{name}.sqlite"))
    for row in questions:
        yield {**row, "schema": described(row["db_id"])}


def _unpack(archive: Path, databases: Path) -> list[dict[str, Any]]:
    """Databases are written, archives inside the archive opened; the questions are returned."""
    questions: list[dict[str, Any]] = []
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            name = PurePosixPath(entry.filename)
            if "__MACOSX" in name.parts:
                continue
            if name.name == "dev.json":
                questions = json.loads(packed.read(entry))
            elif name.suffix == ".sqlite":
                target = databases / name.stem / name.name  # by its stem alone: an entry cannot name another place
                target.parent.mkdir(exist_ok=True)
                with packed.open(entry) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)
            elif name.suffix == ".zip":
                with tempfile.NamedTemporaryFile(dir=databases, suffix=".zip") as inner:
                    with packed.open(entry) as source:
                        shutil.copyfileobj(source, inner)
                    inner.flush()
                    questions += _unpack(Path(inner.name), databases)
    return questions


def schema(path: Path, rows: int = 3) -> str:
    """Tables and their first rows as SQL."""
    lines: list[str] = []
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.text_factory = lambda raw: raw.decode("utf-8", "ignore")
    try:
        tables = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
        for name, statement in tables.fetchall():
            if name.startswith("sqlite_"):
                continue
            lines.append(f"{statement};")
            values = (map(_literal, row) for row in connection.execute(f'SELECT * FROM "{name}" LIMIT {rows}'))
            lines += [f'INSERT INTO "{name}" VALUES ({", ".join(row)});' for row in values]
    finally:
        connection.close()
    return "\n".join(lines)


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int | float):
        return str(value)
    text = value[:MAX_VALUE] if isinstance(value, str) else "(binary)"
    return "'" + text.replace("'", "''") + "'"
