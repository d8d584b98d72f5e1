"""Rows of a dataset file, whatever its format: JSONL, JSON, CSV, TSV or Parquet, the text ones also gzipped."""

from __future__ import annotations

import csv
import gzip
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import orjson

from gym_mcp.benchmarks.mapping import Unmappable, at
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject

PARQUET: Final = "pip install 'gym-mcp[parquet]'"


def read_file(path: Path, records: str | None = None) -> Iterator[tuple[str, JSONObject]]:
    """(where, row) for each row; `records` is the path to the list inside a JSON file.

    Raises `UsageError` with the file and the row for what cannot be read.
    """
    suffixes = [s.lower() for s in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes or [""])[-1]
    reader = READERS.get(kind)
    if reader is None:
        raise UsageError(f"{path.name}: no format that is known; there are {', '.join(sorted(READERS))}")
    try:
        for number, row in enumerate(reader(path, records)):
            where = f"{path.name}:{number}"
            if not isinstance(row, dict):
                raise UsageError(f"{where}: a row is an object, not {type(row).__name__}")
            yield where, row
    except (orjson.JSONDecodeError, UnicodeDecodeError, csv.Error, gzip.BadGzipFile, EOFError) as e:
        raise UsageError(f"{path}: not {kind[1:]}: {e}") from None


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _jsonl(path: Path, _: str | None) -> Iterator[Any]:
    with _open(path) as file:
        for line in file:
            if line.strip():
                yield orjson.loads(line)


def _json(path: Path, records: str | None) -> Iterator[Any]:
    with _open(path) as file:
        value = orjson.loads(file.read())
    if records is not None:
        try:
            value = at(value, records)
        except Unmappable as e:
            raise UsageError(f"{path.name}: records: {e}") from None
    if not isinstance(value, list):
        raise UsageError(f"{path.name}: a list of rows is expected; `records` says where in the file it is")
    yield from value


def _csv(delimiter: str) -> Callable[[Path, str | None], Iterator[Any]]:
    def read(path: Path, _: str | None) -> Iterator[Any]:
        csv.field_size_limit(sys.maxsize)
        with _open(path) as file:
            lines = (line.decode("utf-8-sig" if not number else "utf-8") for number, line in enumerate(file))
            for row in csv.DictReader(lines, delimiter=delimiter, strict=True):
                if None in row or None in row.values():
                    raise csv.Error(f"a row has another number of cells than the header: {row!r:.120}")
                yield row

    return read


def _parquet(path: Path, _: str | None) -> Iterator[Any]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise UsageError(f"{path.name}: Parquet files need pyarrow: {PARQUET}") from None
    try:
        file = parquet.ParquetFile(path)
        for batch in file.iter_batches(batch_size=1_024):
            yield from batch.to_pylist()
    except (OSError, ValueError) as e:  # pyarrow's own errors derive from these
        raise UsageError(f"{path}: not Parquet: {' '.join(str(e).split())}") from None


READERS: Final[Mapping[str, Callable[[Path, str | None], Iterator[Any]]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv(","),
    ".tsv": _csv("\t"),
    ".parquet": _parquet,
}
