"""Plain MCP clients of either era play an episode through both planes and get the same reward."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from gym_mcp.server.keys import read_key
from tests.servers import child, serve_command
from tests.support import missing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
COUNTER = Path(__file__).parents[1] / "environments" / "counter.py"
OPERATOR_TOOLS = ["verify_episode", "open_episode", "describe"]
EXPECTED = {
    "tools": ["add", "read"],
    "prompt": "Count to 2.",
    "results": ["1", "2"],
    "reward": 1.0,
    "ledger": ["add", "add"],
    "refused": "gone",
}


async def play(operator: Client, agent_mode: str) -> dict[str, Any]:
    opened = (await operator.call_tool("open_episode", {"task_id": "two"})).structured_content
    async with Client(opened["url"], mode=agent_mode) as agent:
        tools = [t.name for t in (await agent.list_tools()).tools]
        message = (await agent.get_prompt("task")).messages[0]
        calls = [await agent.call_tool("add", {"amount": 1}) for _ in range(2)]
    handle = {"episode": opened["episode"]}
    verdict = (await operator.call_tool("verify_episode", handle)).structured_content
    refused = await operator.call_tool("episode_state", handle)
    return {
        "tools": tools,
        "prompt": getattr(message.content, "text", None),
        "results": [getattr(c.content[0], "text", None) for c in calls],
        "reward": verdict["reward"],
        "ledger": [e["name"] for e in verdict["ledger"]],
        "refused": refused.structured_content["error"]["kind"] if refused.is_error else None,
    }


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
def test_the_client_of_2x(mode: str, tmp_path: Path) -> None:
    async def main(url: str, key: str) -> dict[str, Any]:
        async with asyncio.timeout(60), AsyncExitStack() as stack:
            headers = {"Authorization": f"Bearer {key}"}
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=30, verify=False))
            operator = await stack.enter_async_context(
                Client(streamable_http_client(url, http_client=http), mode=mode)
            )
            if mode != "2026-07-28":  # pinned: the client asks for no capabilities
                capabilities = operator.server_capabilities
                declared = capabilities.extensions if mode == "auto" else capabilities.experimental
                assert declared is not None
                assert declared["io.gym-mcp/environment"]["reward_range"] == [0.0, 1.0]
            return await play(operator, mode)

    with child(tmp_path, [str(COUNTER)]) as served:
        url = served["environments"]["counter"]["operator_url"]
        assert asyncio.run(main(url, read_key(Path(served["operator_key_file"])))) == EXPECTED


def interpreter_with_1x() -> Path:
    """The Python of a virtual environment with mcp 1.x, made once; skips where it cannot be made."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gym-mcp" / "mcp-1x"
    python = base / "bin" / "python"
    if not (base / "ready").exists():
        steps = [
            [sys.executable, "-m", "venv", "--clear", str(base)],
            [str(python), "-m", "pip", "install", "-q", "mcp>=1.20,<2"],
        ]
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode != 0:
                missing(f"{' '.join(step[1:4])}: {done.stderr[-300:]}")
        (base / "ready").touch()
    return python


def test_the_client_of_1x(tmp_path: Path) -> None:
    python = interpreter_with_1x()
    script = Path(__file__).with_name("play_1x.py")
    with child(tmp_path, [str(COUNTER)]) as served:
        url = served["environments"]["counter"]["operator_url"]
        command = [str(python), str(script), url, served["operator_key_file"]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXPECTED


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_agent_over_stdio(mode: str, tmp_path: Path) -> None:
    record = tmp_path / "calls.jsonl"
    command = serve_command(str(COUNTER), "--stdio", "--record", str(record))

    async def main() -> list[str]:
        async with asyncio.timeout(60):
            async with Client(StdioServerParameters(command=command[0], args=command[1:]), mode=mode) as agent:
                assert [t.name for t in (await agent.list_tools()).tools] == ["add", "read"]
                for name in OPERATOR_TOOLS:
                    assert (await agent.call_tool(name, {})).is_error
                return [getattr((await agent.call_tool("add", {"amount": 2})).content[0], "text", "")]

    assert asyncio.run(main()) == ["2"]
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert {line["task_id"] for line in lines} == {"two"}
    assert [line["call"]["name"] for line in lines] == [*OPERATOR_TOOLS, "add"]
