"""An environment with every kind of result that an agent may show its model differently."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from gym_mcp import Call, Environment, Image, Task, ToolError, Transcript, tool
from tests.environments.ladder import PIXEL

SECRET = "the answer is 42"
STORY = "Once upon a time, a cat sat on a mat. "


class Lab(Environment):
    """Bring the counter to the target."""

    call_timeout = 5.0
    max_result_chars = 200_000

    def open(self, task: Task) -> None:
        self.value = 0
        self.target = task.data.get("target", 3)

    def tools_for(self, task: Task) -> list[str] | None:
        only = task.data.get("only")
        return None if only is None else list(only)

    @tool
    def add(self, amount: int) -> int:
        """Add to the counter.

        Args:
            amount: How much.
        """
        self.value += amount
        return self.value

    @tool(read_only=True)
    def facts(self) -> dict[str, Any]:
        """Tell some facts as a JSON object."""
        return {"name": "lab", "quotes": 'a "quoted" word', "numbers": [1, 2]}

    @tool(read_only=True)
    def story(self, characters: int) -> str:
        """Tell a story."""
        return (STORY * (characters // len(STORY) + 1))[:characters]

    @tool(read_only=True)
    def picture(self) -> Image:
        """Show a picture."""
        return Image(PIXEL)

    @tool
    def refuse(self) -> str:
        """Refuse."""
        raise ToolError('refused: <because> it says "no"')

    @tool
    async def wait(self) -> str:
        """Wait for long."""
        await asyncio.sleep(3.0)
        return "waited"

    @tool
    def crash(self) -> str:
        """Break."""
        raise ValueError(SECRET)

    @tool
    def submit(self) -> str:
        """End the episode."""
        self.done = True
        return "submitted"

    def verify(self, transcript: Transcript) -> float:
        return float(self.value == self.target)

    def solution(self) -> Iterator[Any]:
        yield Call("add", amount=self.target)
        yield "done"

    @classmethod
    def tasks(cls) -> Iterator[dict[str, Any]]:
        for i in range(1, 33):
            yield {"id": f"t{i}", "prompt": f"Bring the counter to {i}, then say done.", "data": {"target": i}}
