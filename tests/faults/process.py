"""The command line and the scripted endpoint as real processes."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from gym_mcp.types import JSONObject
from tests.coordinator.kit import POISONED, read_lines, rows, write_rows

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 120.0
Process = subprocess.Popen[str]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "gym_mcp.cli.main", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """The process environment without keys, proxies and hubs of whoever runs the tests."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def begin(*arguments: object, **more: str) -> Process:
    """Start `gym-mcp ...` in a process group of its own."""
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
        start_new_session=True,
    )


def finish(process: Process, timeout: float = TIMEOUT) -> subprocess.CompletedProcess[str]:
    """Wait for the end; never longer than `timeout`."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"no end after {timeout:g} s\n{out}\n{err}") from None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def gym(*arguments: object, room: int | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `gym-mcp ...` to its end. `room`: bytes that any one file may grow to."""

    def limit() -> None:
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=environment(PYTHONDONTWRITEBYTECODE="1", **more),
        preexec_fn=limit,
        check=False,
    )


def result(done: subprocess.CompletedProcess[str], code: int = 0) -> JSONObject:
    """The one JSON object on stdout of a process that ended with `code`."""
    assert done.returncode == code, (done.returncode, done.stderr)
    value: Any = orjson.loads(done.stdout)
    assert isinstance(value, dict)
    return value


def refused(done: subprocess.CompletedProcess[str], told: str, code: int = 2) -> None:
    """Ended with `code`, nothing on stdout, and one line on stderr that holds `told`."""
    assert (done.returncode, done.stdout) == (code, ""), done
    lines = done.stderr.strip().splitlines()
    assert lines and lines[-1].startswith("gym-mcp: ") and told in lines[-1], done.stderr
    assert "Traceback" not in done.stderr


@contextlib.contextmanager
def endpoint(*arguments: object) -> Iterator[str]:
    """The scripted endpoint as a process; its base URL."""
    script = ROOT / "tests" / "endpoint.py"
    with subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http://"), "the endpoint did not start"
            yield url
        finally:
            process.kill()


def until(condition: Callable[[], bool], what: str, timeout: float = 30.0) -> None:
    """Poll until `condition` holds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {timeout:g} s"
        time.sleep(0.01)


def read_until(process: Process, text: str) -> str:
    """Lines of stderr up to the one that holds `text`."""
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} was not said:\n{seen}")


def kill_group(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    finish(process)


class Folder:
    """Rows and a run directory under a temporary folder."""

    def __init__(self, path: Path, count: int, **special: JSONObject) -> None:
        self.path = path
        self.run = path / "run"
        self.rollouts = self.run / "rollouts.jsonl"
        self.marks = path / "marks"
        self.marks.mkdir()
        self.input = write_rows(path / "rows.jsonl", rows(count, **special))

    def flags(
        self, model: str = "builtin/oracle", *more: object, environment: Path = POISONED
    ) -> Sequence[object]:
        base = ("eval", "run", "-e", environment, "-m", model, "--input", self.input, "--out", self.run, "--json")
        marks = () if environment != POISONED else ("--set", f"env.marks={self.marks}")
        return (*base, *marks, *more)

    def lines(self) -> int:
        return self.rollouts.read_bytes().count(b"\n") if self.rollouts.exists() else 0

    def rows(self) -> list[JSONObject]:
        return read_lines(self.rollouts)

    def check(self, tasks: int, repeats: int = 1) -> list[JSONObject]:
        """The rollouts: each expected one exactly once."""
        found = self.rows()
        places = sorted((row["task_index"], row["repeat"]) for row in found)
        assert places == [(t, r) for t in range(tasks) for r in range(repeats)]
        return found

    def opened(self) -> dict[str, int]:
        """How often an episode was opened, by `task-seed`."""
        counts: dict[str, int] = {}
        for mark in self.marks.iterdir():
            key = mark.name.rsplit("-", 1)[0]
            counts[key] = counts.get(key, 0) + 1
        return counts
