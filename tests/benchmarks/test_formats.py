"""Files of every format give the same rows; damaged ones are refused by name."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.benchmarks.formats import read_file
from gym_mcp.errors import UsageError

ROWS = [{"question": 'One,\n"two"?', "n": "1"}, {"question": "Grün — 数?", "n": "2"}]
JSONL = "".join(json.dumps(row) + "\n\n" for row in ROWS).encode()


def rows(path: Path, records: str | None = None) -> list[Any]:
    return [row for _, row in read_file(path, records)]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_jsonl(tmp_path: Path) -> None:
    assert rows(write(tmp_path / "a.jsonl", JSONL)) == ROWS
    assert rows(write(tmp_path / "a.b.JSONL", JSONL)) == ROWS
    assert rows(write(tmp_path / "a.jsonl.gz", gzip.compress(JSONL, mtime=0))) == ROWS


def test_json(tmp_path: Path) -> None:
    assert rows(write(tmp_path / "a.json", json.dumps(ROWS).encode())) == ROWS
    nested = write(tmp_path / "b.json", json.dumps({"data": {"rows": ROWS}}).encode())
    assert rows(nested, "data.rows") == ROWS
    with pytest.raises(UsageError, match=r"b\.json: a list of rows is expected; `records` says where"):
        rows(nested)
    with pytest.raises(UsageError, match=r"b\.json: records: no field `rows`"):
        rows(nested, "rows")


@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_csv(tmp_path: Path, suffix: str, delimiter: str) -> None:
    path = tmp_path / f"a.{suffix}"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, ["question", "n"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)
    assert rows(path) == ROWS


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = [{**row, "choices": ["a", "b"]} for row in ROWS]
    parquet.write_table(pa.Table.from_pylist(table * 2_000), tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == table * 2_000
    with pytest.raises(UsageError, match="not Parquet"):
        rows(write(tmp_path / "b.parquet", b"PAR1 but no more"))


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(
        UsageError, match=r"a\.parquet: Parquet files need pyarrow: pip install 'gym-mcp\[parquet\]'"
    ):
        rows(write(tmp_path / "a.parquet", b""))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a"', "not jsonl: "),
        ("a.jsonl", b"[1]\n", r"a\.jsonl:0: a row is an object, not list"),
        ("a.json", b"{", "not json: "),
        ("a.csv", b"a,b\n1,2,3\n", "not csv: a row has another number of cells"),
        ("a.csv", b"a,b\n1\n", "not csv: a row has another number of cells"),
        ("a.csv", b'a,b\n"1,2\n', "not csv: "),
        ("a.csv", b"a\n\xff\n", "not csv: "),
        ("a.jsonl.gz", b"plain", "not jsonl: "),
        ("a.jsonl.gz", gzip.compress(JSONL, mtime=0)[:-9], "not jsonl: "),
        ("a.zip", b"", r"a\.zip: no format that is known; there are \.csv"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rows(write(tmp_path / name, content))
