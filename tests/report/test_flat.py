"""The flat table: a row a rollout, types that hold, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from gym_mcp.coordinator.journal import DiskError
from gym_mcp.report import flat
from gym_mcp.report.flat import COLUMNS, write_flat
from gym_mcp.types import JSONObject
from tests.report.made import graded, write
from tests.report.test_page import hostile_run


def table(file: Path) -> list[dict[str, Any]]:
    with file.open(newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def test_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    runs = [write(tmp_path / name, graded(10, 3, failures=0.2, seed=i)) for i, name in enumerate("ab")]
    write_flat(tmp_path / "t.csv", runs)
    write_flat(tmp_path / "t.parquet", runs)
    rows, typed = table(tmp_path / "t.csv"), pq.read_table(tmp_path / "t.parquet").to_pylist()
    assert len(rows) == len(typed) == 60
    assert list(typed[0]) == [*COLUMNS, "component.right", "component.tidy"]
    for text, row in zip(rows, typed, strict=True):
        assert {k: "" if v is None else str(v) for k, v in row.items()} == text
    first = typed[0]
    assert isinstance(first["seed"], int) and first["passed"] in (True, False) and isinstance(first["cost"], float)
    failed = [row for row in typed if row["outcome"] == "failed"]
    assert failed and all(
        row["reward"] is None and row["passed"] is None and row["failure_kind"] for row in failed
    )
    assert {row["run_dir"] for row in typed} == set(map(str, runs))


def test_answers_only_when_asked(tmp_path: Path) -> None:
    run = write(tmp_path / "run", [[1.0]], interaction="single_turn")
    write_flat(tmp_path / "t.csv", [run])
    assert "answer" not in table(tmp_path / "t.csv")[0]
    write_flat(tmp_path / "t.csv", [run], with_answers=True)
    (row,) = table(tmp_path / "t.csv")
    assert row["answer"] == "I have booked the room for Friday." and "calendar" in row["notes"]


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_cell_is_a_formula(tmp_path: Path, start: str) -> None:
    def change(row: JSONObject) -> None:
        row["components"] = {f"{start} c": -1.0}
        row["response"]["stop"] = start

    run = write(
        tmp_path / "run", [[1.0]], change=change, task=lambda i: {"id": f"{start}x", "prompt": "p", "data": {}}
    )
    write_flat(tmp_path / "t.csv", [run])
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as f:
        cells = [cell for line in csv.reader(f) for cell in line]
    assert not [c for c in cells if c.startswith(("=", "+", "@", "\t", "\r"))]
    assert [c for c in cells if c.startswith("-")] == ["-1.0"], "numbers stay numbers"


def test_hostile_text_is_a_cell_like_any_other(tmp_path: Path) -> None:
    run = hostile_run(tmp_path / "run")
    write_flat(tmp_path / "t.csv", [run], with_answers=True)
    write_flat(tmp_path / "t.parquet", [run], with_answers=True)
    assert len(table(tmp_path / "t.csv")) == pq.read_table(tmp_path / "t.parquet").num_rows == 24
    assert b"\x1b" not in (tmp_path / "t.csv").read_bytes()


def test_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, out = write(tmp_path / "run", [[1.0]]), tmp_path / "t.csv"
    out.write_text("before")

    def full(*args: Any) -> None:
        args[0].write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(flat, "_write_csv", full)
    with pytest.raises(DiskError, match="No space left on device"):
        write_flat(out, [run])
    assert out.read_text() == "before" and sorted(p.name for p in tmp_path.iterdir()) == ["run", "t.csv"]
