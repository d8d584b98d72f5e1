"""Run the command line: as its own process where that matters, else in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "gym_mcp.cli.main")
COUNTER = '''
from gym_mcp import Environment, Task, tool

class Counter(Environment):
    """Raise a counter to the task's target."""

    def open(self, task: Task) -> None:
        self.value, self.target = 0, task.data["target"]

    @tool
    def add(self, amount: int) -> int:
        """Add `amount` to the counter and return its new value."""
        self.value += amount
        return self.value

    @tool
    def read(self) -> int:
        """Return the counter's value."""
        return self.value

    def verify(self, transcript) -> float:
        return float(self.value == self.target)
'''
"""The example of the design page, as written there."""


def process_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment variables of a child that finds this checkout's gym_mcp and no other hub."""
    env = {k: v for k, v in os.environ.items() if k != "GYM_MCP_HUB"}
    return env | {"PYTHONPATH": str(ROOT), **(extra or {})}


def gym(*arguments: str, cwd: Path = ROOT, hub: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `gym-mcp` in a process of its own, in bounded time."""
    env = process_env({} if hub is None else {"GYM_MCP_HUB": str(hub)})
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=50)
