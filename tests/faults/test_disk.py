"""A disk that gives out: the run stops with one line, loses nothing, and can be resumed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.process import Folder, endpoint, gym, refused, result

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
STEP = ("--calls", '[["step", {}]]')


@pytest.mark.parametrize("room", [30_000, 60_001])
def test_a_journal_that_may_not_grow(tmp_path: Path, room: int) -> None:
    folder = Folder(tmp_path, 200)
    with endpoint(*STEP) as url:
        stopped = gym(*folder.flags("openai/m", "--base-url", url), "-q", room=room)
        refused(stopped, "rollouts.jsonl: File too large; what was journalled is safe", code=3)
        assert len(stopped.stderr.splitlines()) == 1, stopped.stderr
        before = folder.rollouts.read_bytes()
        assert before.endswith(b"\n") and 0 < len(folder.rows()) < 200
        refused(gym("eval", "resume", folder.run, "-q", "--json", room=room), "File too large", code=3)
        assert result(gym("eval", "resume", folder.run, "-q", "--json"))["scored"] == 200
    assert folder.rollouts.read_bytes().startswith(before)
    folder.check(200)


@pytest.mark.parametrize(("count", "room"), [(100, 100), (1, 1_000)], ids=["tasks", "manifest"])
def test_no_room_to_begin_leaves_nothing(tmp_path: Path, count: int, room: int) -> None:
    folder = Folder(tmp_path, count)
    refused(gym(*folder.flags("builtin/null"), "-q", room=room), "File too large", code=3)
    assert not folder.run.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting needs root")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], check=False)
    if done.returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    folder = Folder(tmp_path, 200)
    folder.run = small_disk / "run"
    folder.rollouts = folder.run / "rollouts.jsonl"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(128 * 1024))
    stopped = gym(*folder.flags(), "-q")
    refused(stopped, "No space left on device; what was journalled is safe", code=3)
    count = len(folder.rows())
    assert 0 < count < 200
    refused(gym("eval", "resume", folder.run, "-q", "--json"), "No space left on device", code=3)
    ballast.unlink()
    moved = tmp_path / "moved"
    shutil.copytree(folder.run, moved)
    assert result(gym("eval", "resume", moved, "-q", "--json"))["scored"] == 200
    folder.rollouts = moved / "rollouts.jsonl"
    folder.check(200)
