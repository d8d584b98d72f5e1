"""Whole runs in this process: an environment file that tests may edit, a counted endpoint, a run cut short."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gym_mcp.coordinator.config import RunConfig
from gym_mcp.coordinator.coordinator import Coordinator
from gym_mcp.coordinator.events import Event, RolloutFinished
from gym_mcp.coordinator.run import Outcome, start
from gym_mcp.types import JSONObject
from tests.coordinator.kit import config, write_rows
from tests.endpoint import Endpoint, Script, calling

COUNTER = '''"""A counter."""

from gym_mcp import Environment, Reward, Task, tool


class Counter(Environment):
    """Count to two."""

    def open(self, task: Task) -> None:
        self.value = 0

    @tool
    def add(self, amount: int) -> int:
        """Add to the counter."""
        self.value += amount
        return self.value

    def verify(self, transcript):
        return Reward(float(self.value == 2), {"value": self.value}, transcript.answer)
'''
SCRIPT: Script = calling([("add", {"amount": 2})], "done")
CALLS = 2
"""Model requests of one rollout under SCRIPT."""


def edit(path: Path, old: str, new: str) -> None:
    """Change a file that was imported, and have it imported anew."""
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))
    forget(path)


def forget(path: Path) -> None:
    for name in [n for n, m in sys.modules.items() if getattr(m, "__file__", None) == str(path)]:
        del sys.modules[name]


class Workbench:
    """A folder with `counter.py`, `rows.jsonl` and the run directory `run`."""

    def __init__(self, folder: Path, endpoint: Endpoint, tasks: int = 4) -> None:
        self.folder = folder
        self.endpoint = endpoint
        self.environment = folder / "counter.py"
        self.input = folder / "rows.jsonl"
        self.run_dir = folder / "run"
        self.rollouts = self.run_dir / "rollouts.jsonl"
        self.environment.write_text(COUNTER)
        forget(self.environment)
        write_rows(self.input, self.rows(tasks))

    @staticmethod
    def rows(count: int, prompt: str = "Count.") -> list[JSONObject]:
        return [{"id": f"t{i}", "prompt": prompt, "data": {"i": i}} for i in range(count)]

    def config(self, **settings: Any) -> RunConfig:
        values: dict[str, Any] = {
            "input": self.input,
            "base_url": self.endpoint.url,
            "repeats": 2,
            "max_retries": 0,
            "concurrency": 3,
        }
        model = settings.pop("model", "openai/m")
        return config(self.environment, model, **{**values, **settings})

    async def start(self, after: int | None = None, **settings: Any) -> Outcome:
        """Run, and let it drain once `after` rollouts are done."""
        listener, on_ready = draining(after)
        return await start(self.config(**settings), self.run_dir, [listener], on_ready)


def draining(after: int | None) -> tuple[Callable[[Event], None], Callable[[Coordinator], None]]:
    """(listener, on_ready) that drain a run once `after` rollouts are journalled."""
    found: list[Coordinator] = []
    count = 0

    def listener(event: Event) -> None:
        nonlocal count
        count += isinstance(event, RolloutFinished)
        if after is not None and count >= after:
            found[0].drain("test")

    return listener, found.append
