"""One tool call that waits: what a server holds is episodes, not work."""

from __future__ import annotations

import asyncio

from gym_mcp import Environment, Task, Transcript, tool


class Waiting(Environment):
    """Call `wait` once."""

    def open(self, task: Task) -> None:
        self.waited = 0.0

    @tool
    async def wait(self, seconds: float) -> float:
        """Wait, and return for how many seconds in all."""
        await asyncio.sleep(seconds)
        self.waited += seconds
        return self.waited

    def verify(self, transcript: Transcript) -> float:
        return self.waited
