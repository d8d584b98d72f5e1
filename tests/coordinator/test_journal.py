"""The journal loses no whole line, whatever happened to the last one, and refuses what it cannot explain."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from gym_mcp.coordinator.journal import (
    DamagedJournal,
    DiskError,
    Journal,
    JournalError,
    line_of,
    read_rows,
    repair,
    replace_file,
    rewrite,
)
from gym_mcp.types import JSONObject


def row(i: int, **more: object) -> JSONObject:
    return {"task_id": f"t{i} ünïcödé", "task_index": i, "repeat": 0, "outcome": "scored", "reward": 0.5, **more}


def write(path: Path, *found: JSONObject) -> None:
    journal = Journal(path)
    for one in found:
        journal.append(one)
    journal.close()


def indices(path: Path) -> list[int]:
    return [r["task_index"] for r in read_rows(path)]


def test_a_last_line_torn_at_any_byte_is_cut_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    write(path, row(0), row(1), row(2, notes='{"x": [1, 2]} \\ \u2028 end'))
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, len(whole) - 1) + 1
    for cut in range(start, len(whole) + 1):
        path.write_bytes(whole[:cut])
        complete = cut >= len(whole) - 1  # all of it, or only the newline is missing
        assert indices(path) == ([0, 1, 2] if complete else [0, 1]), cut
        assert repair(path) == (0 if complete else cut - start), cut
        assert path.read_bytes() == (whole if complete else whole[:start]), cut
        write(path, row(3))
        assert indices(path) == ([0, 1, 2, 3] if complete else [0, 1, 3]), cut


def test_a_missing_newline_is_added_so_that_the_next_row_gets_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    write(path, row(0))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert repair(path) == 0
    write(path, row(1))
    assert indices(path) == [0, 1]


@pytest.mark.parametrize("content", [b"", None])
def test_nothing_needs_no_repair(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "rollouts.jsonl"
    if content is not None:
        path.write_bytes(content)
    assert repair(path) == 0
    assert list(read_rows(path)) == []


@pytest.mark.parametrize(
    "garbage",
    [b"garbage\n", b"\n", b"[1]\n", b'{"task_id": "a"}\n', b"\x00\x00\n", b"\xff\xfe\n", b'{"task_id": "\n'],
)
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_broken_line_that_ends_in_a_newline_is_refused_with_its_number(
    tmp_path: Path, garbage: bytes, place: str
) -> None:
    path = tmp_path / "rollouts.jsonl"
    parts = [line_of(row(0)), line_of(row(1))]
    number = {"first": 1, "middle": 2, "last": 3}[place]
    parts.insert(number - 1, garbage)
    path.write_bytes(b"".join(parts))
    before = path.read_bytes()
    with pytest.raises(DamagedJournal, match=rf"rollouts\.jsonl:{number}: not a rollout"):
        list(read_rows(path))
    with pytest.raises(DamagedJournal):
        repair(path)
    assert path.read_bytes() == before


def test_zeros_that_a_power_cut_left_at_the_end_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    write(path, row(0))
    with path.open("ab") as file:
        file.write(bytes(4096))
    assert repair(path) == 4096
    assert indices(path) == [0]


def test_rewrite_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    write(path, row(0), row(1))
    before = path.read_bytes()

    def breaks() -> Iterator[JSONObject]:
        yield row(7)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        rewrite(path, breaks())
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["rollouts.jsonl"]
    rewrite(path, (r for r in read_rows(path) if r["task_index"] == 1))
    assert indices(path) == [1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    write(path, row(0))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_one_line_without_a_traceback() -> None:
    journal = Journal(Path("/dev/full"))
    with pytest.raises(JournalError, match=r"^/dev/full: No space left on device$"):
        journal.append(row(0))
    journal.close()


def test_a_folder_in_the_journals_place_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="Is a directory"):
        Journal(tmp_path)


LIMITED = """
import resource, sys
from pathlib import Path
from gym_mcp.coordinator.journal import DiskError, Journal, JournalError, replace_file
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
journal = Journal(Path(sys.argv[1]))
row = {"task_id": "t", "task_index": 0, "repeat": 0, "outcome": "scored", "notes": "x" * 900}
for i in range(100):
    try:
        journal.append({**row, "task_index": i})
    except JournalError as e:
        print(i, e)
        break
try:
    replace_file(Path(sys.argv[1]).with_name("metrics.json"), [b"x" * 100_000])
except DiskError as e:
    print(e)
"""


@pytest.mark.parametrize("room", [10_000, 10_001, 4_096])
def test_when_the_disk_gives_out_the_half_written_row_is_taken_back(tmp_path: Path, room: int) -> None:
    path = tmp_path / "rollouts.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path), str(room)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    first, second = done.stdout.splitlines()
    count = int(first.split()[0])
    assert first == f"{count} {path}: File too large"
    assert second == f"{tmp_path / 'metrics.json'}: File too large"
    assert 0 < count < 12
    assert path.read_bytes().endswith(b"\n"), "the torn row was not taken back"
    assert indices(path) == list(range(count))
    assert [p.name for p in tmp_path.iterdir()] == ["rollouts.jsonl"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text("old")

    def breaks() -> Iterator[bytes]:
        yield b"new"
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskError, match=r"manifest\.json: No space left on device$"):
        replace_file(path, breaks())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["manifest.json"]


def test_what_json_cannot_carry_is_written_as_text() -> None:
    odd = row(
        0, notes="lone \ud800 surrogate", big=2**70, path=Path("a/b"), nan=float("nan"), keys={1: "a", (2,): 0}
    )
    line = line_of(odd)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    back = orjson.loads(line)
    assert back["notes"] == "lone ? surrogate" and back["path"] == "a/b" and back["nan"] is None
    assert back["keys"] == {"1": "a"} and back["big"] == pytest.approx(2**70)


def test_a_row_that_contains_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    endless: JSONObject = row(0)
    endless["self"] = endless
    journal = Journal(path)
    with pytest.raises((ValueError, RecursionError)):
        journal.append(endless)
    journal.append(row(1))
    journal.close()
    assert indices(path) == [1]


def test_rows_reach_the_kernel_before_append_returns(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"

    async def main() -> None:
        journal = Journal(path)
        journal.start_syncing()
        for i in range(5):
            journal.append(row(i))
            assert indices(path) == list(range(i + 1))
        await journal.aclose()

    asyncio.run(main())
