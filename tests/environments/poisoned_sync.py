"""`poisoned.py` without `async`: a class of this kind moves to worker threads once it was slow."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from gym_mcp import Call, Environment, Task, Transcript, tool


class PoisonedSync(Environment):
    """Call `step` once."""

    call_timeout = 0.2

    def open(self, task: Task) -> None:
        self.stepped = 0
        self._where, self._how = task.data.get("where"), task.data.get("how", "")
        self._perhaps("open")

    @tool
    def step(self) -> int:
        """Do the one thing there is to do."""
        self._perhaps("tool")
        self.stepped += 1
        return self.stepped

    def verify(self, transcript: Transcript) -> float:
        self._perhaps("verify")
        return float(self.stepped == 1)

    def solution(self) -> Iterator[Call | str]:
        yield Call("step")
        yield "done"

    def _perhaps(self, where: str) -> None:
        if where != self._where:
            return
        if self._how == "exit":
            sys.exit(9)
        if self._how == "sleep":
            time.sleep(3600)
        while self._how == "spin":
            pass
        raise ValueError("poison")
