"""Memory does not follow the number of tasks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.process import Folder, command, environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc"),
]
SINGLE = '''
import atexit
from pathlib import Path

from gym_mcp import Environment

HERE = Path(__file__).parent
# Read from inside: the figure that wait4 gives counts the process that forked, too.
atexit.register(lambda: (HERE / "status").write_text(Path("/proc/self/status").read_text()))


class Single(Environment):
    """Say something."""

    def verify(self, transcript):
        return float(bool(transcript.answer))
'''
ALLOWED = 8.0
"""MiB that eighteen thousand more episodes may add. Seen: 2.4 (41.4 to 43.8), 15.4 at 120,000."""


def peak(folder: Path, count: int) -> float:
    """Highest resident size, in MiB, of a run over `count` tasks."""
    made = Folder(folder, count)
    file = folder / "single.py"
    file.write_text(SINGLE)
    flags = command(*made.flags("builtin/null", "-q", environment=file))
    subprocess.run(flags, stdout=subprocess.DEVNULL, env=environment(), check=True, timeout=200)
    assert made.lines() == count
    (line,) = [x for x in (folder / "status").read_text().splitlines() if x.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def test_memory_of_ten_times_the_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small, large = ((tmp_path / str(count)) for count in (2_000, 20_000))
    small.mkdir()
    large.mkdir()
    before, after = peak(small, 2_000), peak(large, 20_000)
    with capsys.disabled():
        os.write(1, f"\npeak memory: {before:.1f} MiB at 2,000 tasks, {after:.1f} MiB at 20,000\n".encode())
    assert after - before < ALLOWED
