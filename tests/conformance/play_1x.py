"""Plays one episode with a plain client of mcp 1.x; run by that version's own interpreter.

Arguments: the operator plane's URL and the key's file. Prints the verdict as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client  # type: ignore[attr-defined] # gone in 2.x


@asynccontextmanager
async def connect(url: str, headers: dict[str, str] | None = None) -> AsyncIterator[Any]:
    async with streamablehttp_client(url, headers=headers) as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            yield session


async def main(url: str, key: str) -> dict[str, Any]:
    async with connect(url, {"Authorization": f"Bearer {key}"}) as operator:
        opened = (await operator.call_tool("open_episode", {"task_id": "two"})).structuredContent
        async with connect(opened["url"]) as agent:
            tools = [t.name for t in (await agent.list_tools()).tools]
            prompt = (await agent.get_prompt("task")).messages[0].content.text
            results = [(await agent.call_tool("add", {"amount": 1})).content[0].text for _ in range(2)]
        verdict = (await operator.call_tool("verify_episode", {"episode": opened["episode"]})).structuredContent
        refused = await operator.call_tool("episode_state", {"episode": opened["episode"]})
    return {
        "tools": tools,
        "prompt": prompt,
        "results": results,
        "reward": verdict["reward"],
        "ledger": [e["name"] for e in verdict["ledger"]],
        "refused": refused.structuredContent["error"]["kind"] if refused.isError else None,
    }


if __name__ == "__main__":
    url, key_file = sys.argv[1:]
    with open(key_file) as file:
        played = asyncio.run(main(url, file.read().strip()))
    sys.stdout.write(json.dumps(played))
