"""An environment with a user, who asks for one number after the other."""

from __future__ import annotations

from typing import Any

from gym_mcp import Environment, Task, Transcript, tool


class Chatty(Environment):
    """Add what the user asks for."""

    def open(self, task: Task) -> None:
        self.added: list[int] = []
        self.asked = [2, 3]

    @tool
    def add(self, amount: int) -> int:
        """Add a number."""
        self.added.append(amount)
        return sum(self.added)

    def reply(self, message: str) -> str | None:
        return f"/now add {self.asked.pop(0)}" if self.asked else None

    def verify(self, transcript: Transcript) -> float:
        return float(self.added == [1, 2, 3])

    @classmethod
    def tasks(cls) -> Any:
        yield {"id": "t1", "prompt": "Add 1.", "data": {}}
