"""The commands of `connect` as a user runs them, with a state folder, home and hub of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gym_mcp.connect.state import Home
from tests.cli.support import COMMAND, process_env

COUNTER = Path(__file__).parent / "kit.py"
_SECONDS = 60
_SOURCE = '''"""Raise a counter."""

from gym_mcp import Environment, Reward, Task, tool


class Counter(Environment):
    """Raise a counter to the task's target."""

    def open(self, task: Task) -> None:
        print("noise")
        self.value, self.target = 0, task.data["target"]

    @tool
    def add(self, amount: int) -> int:
        """Add `amount` and return the counter's value."""
        self.value += amount
        return self.value

    def verify(self, transcript):
        return Reward(float(self.value == self.target), {"calls": float(self.value)})

    @classmethod
    def tasks(cls):
        return [{"id": f"t{n}", "prompt": f"Reach {n}.", "data": {"target": n}} for n in (1, 2, 3)]
'''


@dataclass(frozen=True)
class User:
    """Somebody with a home, a project folder and an environment file in it."""

    home: Path
    project: Path
    environ: dict[str, str]

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `gym-mcp` in the project folder; the exit code must be `code`."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.project,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    def connect(self, client: str, *more: str) -> dict[str, Any]:
        """What `gym-mcp connect CLIENT counter.py --json` prints."""
        about: dict[str, Any] = json.loads(self.run("connect", client, "counter.py", "--json", *more).stdout)
        return about

    @property
    def server(self) -> Home:
        """The folder of the one server."""
        (folder,) = (self.home / "state" / "gym-mcp" / "connect").iterdir()
        return Home(folder)

    def pid(self) -> int:
        return int(self.server.read(self.server.state_file)["pid"])

    def rows(self, run: str) -> list[dict[str, Any]]:
        text = Path(run, "rollouts.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]


@contextlib.contextmanager
def user(folder: Path) -> Iterator[User]:
    """A user whose servers are stopped at the end, come what may."""
    home, project = folder / "home", folder / "project"
    project.mkdir(parents=True)
    home.mkdir()
    (project / "counter.py").write_text(_SOURCE)
    own = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config")}
    found = User(home, project, process_env(own))
    try:
        yield found
    finally:
        states = list((home / "state").rglob("state.json"))
        with contextlib.suppress(AssertionError):
            found.run("disconnect")
        for state in states:
            with contextlib.suppress(OSError, ValueError):
                os.kill(json.loads(state.read_text())["pid"], signal.SIGKILL)
        shutil.rmtree(home / "state", ignore_errors=True)
