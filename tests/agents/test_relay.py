"""The relay: both protocol eras on any rung, and what it notes of an agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gym_mcp.agents.relay import Relay, Relayed
from gym_mcp.client import EnvironmentClient
from gym_mcp.direct import DirectClient
from gym_mcp.http import HTTPClient
from gym_mcp.server.keys import read_key
from gym_mcp.types import JSONObject, Task, user_message
from tests.environments.lab import SECRET, Lab
from tests.servers import child, running
from tests.support import run

LAB = Path(__file__).parents[1] / "environments" / "lab.py"
OLD, NEW = "2025-06-18", "2026-07-28"
_META = {"io.modelcontextprotocol/protocolVersion": NEW, "io.modelcontextprotocol/clientCapabilities": {}}


class Client:
    """Speaks one era by hand."""

    def __init__(self, http: aiohttp.ClientSession, url: str, version: str) -> None:
        self.http, self.url, self.version = http, url, version

    async def __call__(self, method: str, **params: Any) -> JSONObject:
        status, body = await self.raw(method, **params)
        assert status == 200, (status, body)
        result: JSONObject = body["result"]
        return result

    async def raw(self, method: str, url: str | None = None, **params: Any) -> tuple[int, Any]:
        headers = {"Accept": "application/json, text/event-stream;q=0.5", "MCP-Protocol-Version": self.version}
        if self.version == NEW:
            headers["Mcp-Method"] = method
            headers |= {"Mcp-Name": params["name"]} if "name" in params else {}
            params["_meta"] = {**_META, **params.get("_meta", {})}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self.http.post(url or self.url, json=body, headers=headers) as answer:
            is_json = "json" in answer.headers.get("Content-Type", "")
            return answer.status, await (answer.json() if is_json else answer.text())


@asynccontextmanager
async def relaying(client: EnvironmentClient, version: str, **data: Any) -> AsyncIterator[tuple[Relayed, Client]]:
    relay = Relay()
    await relay.start()
    try:
        async with client, aiohttp.ClientSession() as http:
            task: Task[Any] = Task("t", [user_message("Go.")], {"target": 3, **data})
            episode = await client.open_episode(task, seed=1)
            async with relay.open(episode.agent) as relayed:
                yield relayed, Client(http, relayed.url, version)
    finally:
        await relay.aclose()


@pytest.mark.parametrize("version", [OLD, NEW])
def test_both_eras_see_the_episodes_tools_its_prompt_and_nothing_else(version: str) -> None:
    async def main() -> None:
        async with relaying(DirectClient(Lab), version, only=["add", "picture"]) as (relayed, ask):
            if version == OLD:
                info = await ask("initialize", protocolVersion=OLD, capabilities={}, clientInfo=_info())
                assert info["protocolVersion"] == OLD
            else:
                info = await ask("server/discover")
            assert "tools" in info["capabilities"] and "gym" not in str(info).lower()
            before = relayed.seen
            tools = (await ask("tools/list"))["tools"]
            assert (before, relayed.seen) == (False, True)
            assert [t["name"] for t in tools] == ["add", "picture"]
            assert all("outputSchema" not in t for t in tools)
            prompt = await ask("prompts/get", name="task")
            assert [m["content"]["text"] for m in prompt["messages"]] == ["Go."]
            got = await ask("tools/call", name="add", arguments={"amount": 3}, _meta={"callId": "call_7"})
            assert got["content"] == [{"type": "text", "text": "3"}] and "structuredContent" not in got
            image = await ask("tools/call", name="picture", arguments={})
            assert [c["type"] for c in image["content"]] == ["image"]
            status, body = await ask.raw("resources/list")
            assert "resources" not in str(body.get("result")) and status in (200, 400, 404)
            assert [(c.name, c.arguments, c.call_id) for c in relayed.calls] == [
                ("add", {"amount": 3}, "call_7"),
                ("picture", {}, None),
            ]

    run(main)


def _info() -> JSONObject:
    return {"name": "test", "version": "1"}


def test_a_claude_codes_id_is_noted() -> None:
    async def main() -> None:
        async with relaying(DirectClient(Lab), NEW) as (relayed, ask):
            await ask("tools/call", name="add", arguments={"amount": 1}, _meta={"claudecode/toolUseId": "toolu_1"})
            assert relayed.calls[0].call_id == "toolu_1"

    run(main)


def test_errors_are_told_to_the_agent_without_what_they_would_give_away() -> None:
    async def main() -> None:
        async with relaying(DirectClient(Lab), NEW) as (relayed, ask):
            refused = await ask("tools/call", name="refuse", arguments={})
            assert refused["isError"] and refused["content"][0]["text"] == 'refused: <because> it says "no"'
            wrong = await ask("tools/call", name="add", arguments={"amount": "many"})
            assert wrong["isError"] and "amount" in wrong["content"][0]["text"]
            assert relayed.error is None
            crashed = await ask("tools/call", name="crash", arguments={})
            assert crashed["isError"] and SECRET not in str(crashed)
            assert relayed.ended, "verification says whose failure it was"
            after = await ask("tools/call", name="add", arguments={"amount": 1})
            assert after["isError"] and len(relayed.calls) == 3

    run(main)


def test_calls_after_the_end_are_refused_with_a_text() -> None:
    async def main() -> None:
        async with relaying(DirectClient(Lab), OLD) as (relayed, ask):
            await ask("tools/call", name="submit", arguments={})
            assert relayed.ended
            late = await ask("tools/call", name="add", arguments={"amount": 1})
            assert late["isError"] and "takes no more calls" in late["content"][0]["text"]
            assert [c.name for c in relayed.calls] == ["submit"]
        assert relayed.closed

    run(main)


def test_unknown_paths_and_methods_are_not_there() -> None:
    async def main() -> None:
        async with relaying(DirectClient(Lab), NEW) as (relayed, ask):
            origin = relayed.url.rsplit("/", 2)[0]
            for url in (f"{origin}/mcp", f"{origin}/{'a' * 32}/mcp", relayed.url + "/x", origin, relayed.url[:-1]):
                assert await ask.raw("tools/list", url=url) == (404, "Not Found")
            async with ask.http.get(relayed.url) as answer:
                assert answer.status == 405
            for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
                async with ask.http.post(relayed.url, json={}, headers=headers) as answer:
                    assert answer.status in (403, 421)

    run(main)


def test_a_served_environment_is_relayed_and_its_address_stays_unknown(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, Lab) as server:
            client = HTTPClient(server.url, server.key)
            async with relaying(client, NEW) as (relayed, ask):
                seen = [
                    await ask("server/discover"),
                    await ask("tools/list"),
                    await ask("prompts/get", name="task"),
                ]
                seen.append(await ask("tools/call", name="add", arguments={"amount": 3}))
                assert server.url.split("/")[2] not in relayed.url
                assert server.url.split("/")[2] not in str(seen) and server.key not in str(seen)
                assert [e.name for e in next(iter(server.store)).ledger] == ["add"]

    run(main)


@pytest.mark.slow
def test_an_environment_that_dies_is_the_environments_failure(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            with child(tmp_path, [str(LAB)]) as served:
                key = read_key(Path(served["operator_key_file"]))
                client = HTTPClient(served["environments"]["lab"]["operator_url"], key)
                relayed, ask = await stack.enter_async_context(relaying(client, NEW))
            got = await ask("tools/call", name="add", arguments={"amount": 3})
            assert got["isError"] and relayed.failed.is_set()
            assert relayed.error is not None and relayed.error.kind == "environment"

    run(main)


@pytest.mark.slow
def test_tools_are_listed_at_once_whatever_the_environment_does() -> None:
    """Clients that wait for seconds go on without tools."""

    async def main() -> None:
        async with relaying(DirectClient(Lab), NEW) as (relayed, ask):
            slow = asyncio.create_task(ask("tools/call", name="wait", arguments={}))
            while not relayed.calls:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)
            async with asyncio.timeout(1.0):
                assert (await ask("tools/list"))["tools"] and await ask("server/discover")
            slow.cancel()
            await asyncio.wait([slow])

    run(main)
