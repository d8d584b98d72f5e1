"""An environment whose rows can kill the process that runs them, and which can be slow or busy."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from gym_mcp import Call, Environment, Task, Transcript, tool
from gym_mcp.environment import Options as Settings


class Deadly(Environment):
    """Call `step` once."""

    class Options(Settings):
        pids: str = ""
        """A folder that gets one file for each process that opened an episode, named by its id."""
        seconds: float = 0.0

    async def open(self, task: Task) -> None:
        self.stepped = 0
        if self.options.pids:
            (Path(self.options.pids) / str(os.getpid())).touch()
        self._perhaps("open")

    @tool
    async def step(self) -> int:
        """Do the one thing there is to do."""
        await asyncio.sleep(self.options.seconds)
        self._perhaps("tool")
        self.stepped += 1
        return self.stepped

    def verify(self, transcript: Transcript) -> float:
        self._perhaps("verify")
        until = time.process_time() + self.task.data.get("cpu", 0.0)
        while time.process_time() < until:
            pass
        return float(self.stepped == 1)

    def solution(self) -> Iterator[Call | str]:
        yield Call("step")
        yield "done"

    def _perhaps(self, where: str) -> None:
        if self.task.data.get("dies") == where:
            os.kill(os.getpid(), signal.SIGKILL)
        once = self.task.data.get("dies_once")
        if once and not os.path.exists(once):
            Path(once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
