"""One journal, many writers: whole rows whatever dies, and in whatever order they come."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gym_mcp.coordinator.journal import JournalError, line_of
from gym_mcp.crew.shared_journal import SharedJournal
from gym_mcp.types import JSONObject
from tests.coordinator.kit import pairs, read_lines
from tests.faults.process import environment

WRITER = """
import sys
from pathlib import Path
from gym_mcp.crew.shared_journal import SharedJournal
from tests.crew.test_shared_journal import row

journal = SharedJournal(Path(sys.argv[1]))
for i in range(int(sys.argv[3])):
    journal.append(row(int(sys.argv[2]), i, size=i * 37))
"""


def row(index: int, repeat: int = 0, size: int = 10) -> JSONObject:
    return {"task_id": f"t{index}", "task_index": index, "repeat": repeat, "outcome": "scored", "pad": "x" * size}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rollouts.jsonl"


def test_two_writers_append_in_turn(path: Path) -> None:
    one, other = SharedJournal(path), SharedJournal(path)
    one.append(row(0))
    other.append(row(1), row(2))
    one.append(row(3))
    assert [r["task_index"] for r in read_lines(path)] == [0, 1, 2, 3]
    assert one.end == path.stat().st_size > other.end
    one.close()
    other.close()


@pytest.mark.parametrize("cut", [1, 5, 30, 70_000, 200_000])
def test_the_half_row_of_a_dead_writer_is_cut_off_by_the_next(path: Path, cut: int) -> None:
    whole = line_of(row(0)) + line_of(row(1))
    torn = line_of(row(2, size=250_000))
    path.write_bytes(whole + torn[:cut])
    journal = SharedJournal(path)
    journal.append(row(3))
    assert path.read_bytes() == whole + line_of(row(3))
    journal.close()


def test_a_row_that_only_lacks_its_newline_is_kept(path: Path) -> None:
    path.write_bytes(line_of(row(0)) + line_of(row(1, size=100_000))[:-1])
    journal = SharedJournal(path)
    journal.append(row(2))
    assert [r["task_index"] for r in read_lines(path)] == [0, 1, 2]
    journal.close()


def test_rows_since_an_offset(path: Path) -> None:
    journal, other = SharedJournal(path), SharedJournal(path)
    journal.append(row(0))
    since = journal.size()
    other.append(row(1))
    other.append(row(2))
    with path.open("ab") as file:
        file.write(line_of(row(3))[:-4])
    assert [r["task_index"] for r in journal.rows_since(since)] == [1, 2]
    assert [r["task_index"] for r in journal.rows_since(0)] == [0, 1, 2]
    journal.close()
    other.close()


def test_a_disk_that_is_full_leaves_whole_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = SharedJournal(path)
    journal.append(row(0))
    before, write = path.read_bytes(), os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(JournalError, match="No space left on device"):
        journal.append(row(1, size=1_000))
    monkeypatch.undo()
    assert path.read_bytes() == before
    journal.append(row(2))
    assert [r["task_index"] for r in read_lines(path)] == [0, 2]
    journal.close()


@pytest.mark.slow
def test_processes_write_at_once(path: Path) -> None:
    count = 300
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, str(i), str(count)], env=environment()) for i in range(4)]
    assert [w.wait(60) for w in writers] == [0] * 4
    rows = read_lines(path)
    assert sorted(pairs(rows)) == [(i, repeat) for i in range(4) for repeat in range(count)]
    for i in range(4):
        assert [r["repeat"] for r in rows if r["task_index"] == i] == list(range(count))
