"""The stdio rung when its process does not start, or dies."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.errors import EnvironmentFailure, EpisodeGone
from gym_mcp.mcp_client import StdioClient
from gym_mcp.types import Task, ToolResult, Transcript, user_message
from tests.servers import serve_command

MORTAL = '''
import os
from gym_mcp import Environment, tool

class Mortal(Environment):
    """Ends its own process."""

    @tool
    def die(self) -> str:
        """Die."""
        os._exit(1)

    @tool
    def live(self) -> str:
        """Live."""
        return "alive"

    def verify(self, transcript) -> float:
        return 1.0
'''
TASK: Task[Any] = Task("t", [user_message("hi")])


@pytest.mark.parametrize("command", [["/no/such/program"], ["false"]])
def test_a_server_that_does_not_start(command: list[str]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), StdioClient(command) as client:
            for _ in range(2):
                with pytest.raises(EnvironmentFailure, match=r"did not start|refused|connection"):
                    await client.describe()

    asyncio.run(main())


def test_a_process_that_dies_is_the_environments_failure_and_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "mortal.py"
    file.write_text(MORTAL)
    environ = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}

    async def main() -> None:
        command = serve_command(str(file), "--stdio", "--operator")
        async with asyncio.timeout(40), StdioClient(command, env=environ) as client:
            episode = await client.open_episode(TASK, seed=1)
            with pytest.raises(EnvironmentFailure, match="closed the connection") as caught:
                await episode.agent.call("die", {})
            assert caught.value.retryable
            with pytest.raises(EpisodeGone):
                await episode.verify(Transcript())
            again = await client.open_episode(TASK, seed=1)
            assert await again.agent.call("live", {}) == ToolResult("alive")
            assert (await again.verify(Transcript())).reward.score == 1.0

    asyncio.run(main())
