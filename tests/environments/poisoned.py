"""An environment whose row says where it goes wrong, and how: `{"where": "open", "how": "raise"}`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from gym_mcp import Call, Environment, JudgeError, Task, Transcript, tool
from gym_mcp.environment import Options as Settings

RESULTS: dict[str, Any] = {
    "nan": float("nan"),
    "infinity": float("inf"),
    "out of range": 1.5,
    "none": None,
    "text": "good",
}


class Poisoned(Environment):
    """Call `step` once."""

    call_timeout = 0.2

    class Options(Settings):
        marks: str = ""
        """A folder that gets one file for each episode opened. No `Path`, which would count by content."""

    async def open(self, task: Task) -> None:
        self.stepped = 0
        self._where, self._how = task.data.get("where"), task.data.get("how", "")
        if self.options.marks:
            (Path(self.options.marks) / f"{task.id}-{self.seed}-{time.time_ns()}").touch()
        await self._perhaps("open")

    @tool
    async def step(self) -> int:
        """Do the one thing there is to do."""
        await self._perhaps("tool")
        self.stepped += 1
        return self.stepped

    async def verify(self, transcript: Transcript) -> Any:
        if self._where == "verify" and self._how in RESULTS:
            return RESULTS[self._how]
        if self._where == "verify" and self._how == "judge":
            raise JudgeError("the judge is away")
        await self._perhaps("verify")
        return float(self.stepped == 1)

    def solution(self) -> Iterator[Call | str]:
        yield Call("step")
        yield "done"

    async def _perhaps(self, where: str) -> None:
        if where != self._where:
            return
        if self._how == "wait":
            await asyncio.sleep(3600)
        elif self._how == "once":
            await self._fail_once()
        elif self._how == "cancel":
            raise asyncio.CancelledError
        else:
            go_wrong(self._how)

    async def _fail_once(self) -> None:
        token = self.task.data["token"]
        if token not in _FAILED:
            _FAILED.add(token)
            raise ConnectionError("not yet")


_FAILED: set[str] = set()


def go_wrong(how: str) -> NoReturn:
    if how == "exit":
        sys.exit(9)
    if how == "sleep":
        time.sleep(3600)
    while how == "spin":
        pass
    raise ValueError("poison")
