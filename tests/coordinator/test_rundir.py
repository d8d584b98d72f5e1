"""A run directory belongs to one process and one run; what could not start leaves nothing."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.coordinator.rundir import RunDirectory, digest_of_tasks
from gym_mcp.errors import UsageError
from gym_mcp.types import Task, user_message

HOLD = """
import sys
from pathlib import Path
from gym_mcp.coordinator.rundir import RunDirectory
directory = RunDirectory(Path(sys.argv[1]))
directory.lock()
print("held", flush=True)
sys.stdin.read()
"""


def tasks(count: int) -> Iterator[Task[Any]]:
    return (Task(f"t{i}", [user_message("Go.")], {"i": i}) for i in range(count))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    directory = RunDirectory.new(tmp_path / "run", "name")
    directory.lock()
    directory.write_tasks(tasks(2))
    directory.write_manifest({"schema": 1})
    directory.write_metrics({})
    assert mode(directory.path) == 0o700
    assert {p.name: mode(p) for p in directory.path.iterdir()} == dict.fromkeys(
        (".lock", "tasks.jsonl", "manifest.json", "metrics.json"), 0o600
    )
    directory.unlock()


def test_a_fresh_name_under_runs_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (RunDirectory.new(None, "mcqa-builtin-null").path for _ in range(2))
    assert first != second
    assert first.parent == second.parent == Path("runs")
    assert first.name.startswith("mcqa-builtin-null-")


def test_another_process_is_refused_until_the_holder_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            directory = RunDirectory(tmp_path)
            with pytest.raises(UsageError, match="another process is running this run"):
                directory.lock()
        finally:
            holder.kill()
            holder.wait(timeout=10)
    directory.lock()  # the kernel let go of it
    with pytest.raises(UsageError, match="another process"):
        RunDirectory(tmp_path).lock()
    directory.unlock()
    RunDirectory(tmp_path).lock()


def test_a_lock_whose_file_is_gone_counts_for_nothing(tmp_path: Path) -> None:
    """Between a start that is undone and one that begins, two processes must not hold two files of one name."""
    first = RunDirectory.new(tmp_path / "run", "x")
    first.lock()
    first.discard()
    assert not (tmp_path / "run").exists()
    second = RunDirectory.new(tmp_path / "run", "x")
    second.lock()
    first.unlock()
    with pytest.raises(UsageError, match="another process"):
        RunDirectory(tmp_path / "run").lock()
    second.unlock()


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="not empty and no run; choose another --out"):
        RunDirectory.new(tmp_path, "x")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file: cannot be a run directory"):
        RunDirectory.new(tmp_path / "file", "x")


def test_the_leftovers_of_a_killed_start_are_no_obstacle(tmp_path: Path) -> None:
    for name in (".lock", "tasks.jsonl", "tasks.jsonl.tmp", "manifest.json.tmp"):
        (tmp_path / name).write_text("half")
    directory = RunDirectory.new(tmp_path, "x")
    assert directory.write_tasks(tasks(3))[0] == 3


def test_discard_leaves_nothing_but_what_was_there_before(tmp_path: Path) -> None:
    made = RunDirectory.new(tmp_path / "a" / "run", "x")
    made.lock()
    made.write_tasks(tasks(1))
    made.discard()
    made.unlock()
    assert not made.path.exists()
    given = tmp_path / "given"
    given.mkdir()
    directory = RunDirectory.new(given, "x")
    directory.lock()
    directory.discard()
    directory.unlock()
    assert list(given.iterdir()) == []


def test_discard_touches_no_run(tmp_path: Path) -> None:
    directory = RunDirectory.new(tmp_path / "run", "x")
    directory.write_tasks(tasks(1))
    directory.write_manifest({"schema": 1})
    directory.discard()
    assert sorted(p.name for p in directory.path.iterdir()) == ["manifest.json", "tasks.jsonl"]


def test_tasks_are_all_there_or_none(tmp_path: Path) -> None:
    def breaks() -> Iterator[Task[Any]]:
        yield from tasks(2)
        raise UsageError("rows.jsonl:3: data: bad")

    directory = RunDirectory.new(tmp_path / "run", "x")
    with pytest.raises(UsageError, match=r"rows\.jsonl:3"):
        directory.write_tasks(breaks())
    assert list(directory.path.iterdir()) == []


def test_the_digest_is_that_of_the_file_and_of_the_tasks(tmp_path: Path) -> None:
    directory = RunDirectory.new(tmp_path / "run", "x")
    count, digest = directory.write_tasks(tasks(5), limit=3)
    assert count == 3 and [r["id"] for r in directory.task_rows()] == ["t0", "t1", "t2"]
    assert digest == directory.tasks_digest() == digest_of_tasks(tasks(3), None) == digest_of_tasks(tasks(9), 3)
    assert digest != digest_of_tasks(tasks(4), None)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 2}', "\x00"])
def test_a_manifest_that_cannot_be_read_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UsageError, match=r"manifest\.json: (unreadable|not a manifest)"):
        RunDirectory.existing(tmp_path).read_manifest()


def test_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run there"):
        RunDirectory.existing(tmp_path)
