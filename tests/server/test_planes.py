"""What the two planes say, in the protocol's own terms."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema.validators import validator_for

from gym_mcp import Environment, Task, tool
from gym_mcp.server.agent import prompt_messages
from tests.environments.ladder import PIXEL
from tests.server.raw import LEGACY, MODERN, Reply, ask
from tests.servers import Running, running

ERAS = pytest.mark.parametrize("era", [MODERN, LEGACY])


async def operate(server: Running, era: str, name: str, arguments: dict[str, Any] | None = None) -> Any:
    """The result of one operator tool."""
    params = {"name": name, "arguments": arguments or {}}
    reply = await ask(
        f"{server.url}/operator/mcp", era, "tools/call", params, Authorization=f"Bearer {server.key}"
    )
    assert reply.status == 200, reply.text
    return reply.json["result"]


async def agent(server: Running, era: str, method: str, params: dict[str, Any] | None = None) -> Reply:
    """One request to the agent plane of the server's one episode."""
    (episode,) = server.store
    return await ask(f"{server.url}/episodes/{episode.handle}/mcp", era, method, params)


@ERAS
def test_every_operator_result_fits_its_schema_and_stands_in_the_text(era: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), running(tmp_path) as server:
            listed = await ask(
                f"{server.url}/operator/mcp", era, "tools/list", Authorization=f"Bearer {server.key}"
            )
            tools = {t["name"]: t for t in listed.json["result"]["tools"]}
            opened = await operate(server, era, "open_episode", {"task_id": "t2", "seed": 2**63 - 1, "ttl": 9})
            handle = {"episode": opened["structuredContent"]["episode"]}
            assert 8 < opened["structuredContent"]["expires_in"] <= 9
            calls: list[tuple[str, dict[str, Any]]] = [
                ("describe", {}),
                ("list_tasks", {"offset": 1, "limit": 1}),
                ("list_tools", handle),
                ("call_tool", {**handle, "name": "picture", "arguments": {}}),
                ("reply", {**handle, "message": "hi"}),
                ("reference_solution", {**handle, "step": 0}),
                ("episode_state", handle),
                ("episode_ledger", handle),
                ("verify_episode", {**handle, "items": [], "stop": "ended"}),
                ("close_episode", handle),
                ("verify_group", {"task_id": "t1", "rollouts": [{"repeat": 0, "items": []}]}),
            ]
            assert {"open_episode", *(name for name, _ in calls)} == set(tools)
            results = {"open_episode": opened} | {n: await operate(server, era, n, a) for n, a in calls}
            for name, result in results.items():
                value = result["structuredContent"]
                assert not result.get("isError"), (name, value)
                assert json.loads(result["content"][0]["text"]) == value
                schema = tools[name]["outputSchema"]
                errors = list(validator_for(schema)(schema).iter_errors(value))
                assert errors == [], (name, errors)
            page = results["list_tasks"]["structuredContent"]
            assert ([t["id"] for t in page["tasks"]], page["total"], page["next"]) == (["t2"], 3, 2)
            assert results["verify_episode"]["structuredContent"]["notes"].startswith("stopped: ended")

    asyncio.run(main())


@ERAS
def test_operator_errors_have_a_kind(era: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), running(tmp_path) as server:
            cases: list[tuple[str, dict[str, Any], str, str]] = [
                ("open_episode", {}, "usage", "one of `task_id` and `task`"),
                ("open_episode", {"task_id": "t22"}, "usage", "did you mean"),
                ("open_episode", {"task_id": 3}, "usage", "task_id"),
                ("open_episode", {"task_id": "t1", "seed": -1}, "usage", "seed"),
                ("open_episode", {"task": {"prompt": 3}}, "usage", "prompt"),
                ("open_episode", {"task": {"data": {"open": "raise"}}}, "environment", "ladder.open raised"),
                ("verify_episode", {"episode": "x"}, "gone", "no such episode"),
                ("list_tasks", {"limit": 0}, "usage", "limit"),
                ("list_tasks", {"bogus": 1}, "usage", "bogus"),
                ("nothing", {}, "usage", "no operator tool `nothing`"),
            ]
            for name, arguments, kind, words in cases:
                result = await operate(server, era, name, arguments)
                error = result["structuredContent"]["error"]
                assert result["isError"] and (error["kind"], words in error["message"]) == (kind, True), error
                assert set(error) - {"detail"} == {"kind", "message", "retryable"}

    asyncio.run(main())


@ERAS
def test_the_agent_plane_shows_tools_prompt_and_files(era: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), running(tmp_path) as server:
            await operate(server, era, "open_episode", {"task_id": "t1"})
            (episode,) = server.store
            before = episode.seen
            listed = (await agent(server, era, "tools/list")).json["result"]
            assert (before, episode.seen) == (False, True)
            tools = {t["name"]: t for t in listed["tools"]}
            assert list(tools) == list(episode.tools)
            assert not any("outputSchema" in t for t in tools.values())
            assert tools["read"]["annotations"] == {"readOnlyHint": True, "openWorldHint": False}
            assert tools["add"]["annotations"] == {
                "readOnlyHint": False,
                "destructiveHint": False,
                "openWorldHint": False,
            }
            if era == MODERN:
                assert listed["cacheScope"] == "private" and listed["ttlMs"] > 0
            prompts = (await agent(server, era, "prompts/list")).json["result"]["prompts"]
            assert [p["name"] for p in prompts] == ["task"]
            prompt = (await agent(server, era, "prompts/get", {"name": "task"})).json["result"]["messages"]
            assert prompt == [{"role": "user", "content": {"type": "text", "text": "Count to 1. — ünïcödé"}}]
            files = (await agent(server, era, "resources/list")).json["result"]["resources"]
            assert [f["uri"] for f in files] == ["gym://task/notes.txt", "gym://task/raw.bin", "test://pixel"]
            read = [
                (await agent(server, era, "resources/read", {"uri": f["uri"]})).json["result"]["contents"][0]
                for f in files
            ]
            assert (read[0]["text"], read[0]["mimeType"]) == ("a note", "text/plain")
            assert base64.b64decode(read[1]["blob"]) == b"\x00\xff"
            assert (base64.b64decode(read[2]["blob"]), read[2]["mimeType"]) == (PIXEL, "image/png")

    asyncio.run(main())


def test_system_messages_and_images_of_a_prompt() -> None:
    def shape(item: dict[str, Any]) -> list[tuple[str, str]]:
        return [(m.role, m.content.type) for m in prompt_messages(item)]

    image = {"type": "input_image", "image_url": f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"}
    text = {"type": "input_text", "text": "look"}
    assert shape({"role": "system", "content": "be kind"}) == [("user", "text")]
    assert shape({"role": "assistant", "content": "hello"}) == [("assistant", "text")]
    assert shape({"role": "user", "content": [text, image]}) == [("user", "text"), ("user", "image")]
    far = {"type": "input_image", "image_url": "https://example.org/x.png"}
    assert shape({"role": "user", "content": [far]}) == []
    assert shape({"type": "function_call", "name": "add"}) == []


class Closing(Environment):
    """Notes when it is closed."""

    closed: list[str] = []  # noqa: RUF012 - read after the instances are gone

    @tool
    def act(self) -> str:
        """Act."""
        return "done"

    def verify(self, transcript: Any) -> float:
        return 1.0

    def close(self) -> None:
        Closing.closed.append(self.task.id)


def test_shutdown_and_expiry_close_episodes(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), running(tmp_path, Closing) as server:
            for name in ("a", "b", "c"):
                await server.store.open(Task(name), 0)
            next(iter(server.store)).expires = 0.0
            assert await server.store.collect() == 1 and Closing.closed == ["a"]
        assert sorted(Closing.closed) == ["a", "b", "c"]

    asyncio.run(main())


def test_two_listeners_keep_the_planes_apart(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), running(tmp_path, operator_port=0) as server:
            opened = (await operate(server, MODERN, "open_episode", {"task_id": "t1"}))["structuredContent"]
            operator_origin = server.url.removesuffix("/ladder")
            agent_origin = opened["url"].partition("/ladder")[0]
            assert operator_origin != agent_origin
            assert (await ask(opened["url"], MODERN, "tools/list")).status == 200
            elsewhere = opened["url"].replace(agent_origin, operator_origin)
            assert (await ask(elsewhere, MODERN, "tools/list")).status == 404
            stolen = {"Authorization": f"Bearer {server.key}"}
            operator_there = f"{agent_origin}/ladder/operator/mcp"
            assert (await ask(operator_there, MODERN, "tools/list", None, **stolen)).status == 404

    asyncio.run(main())


def test_every_call_is_recorded_once(tmp_path: Path) -> None:
    record = tmp_path / "calls.jsonl"

    async def main() -> str:
        async with asyncio.timeout(30), running(tmp_path, service={"record": record}) as server:
            await operate(server, MODERN, "open_episode", {"task_id": "t1", "seed": 5})
            (episode,) = server.store
            for name, arguments in (
                ("echo", {"text": "∎"}),
                ("add", {"amount": 10**30}),
                ("submit", {}),
                ("read", {}),
            ):
                await agent(server, MODERN, "tools/call", {"name": name, "arguments": arguments})
            return episode.handle

    handle = asyncio.run(main())
    text = record.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(c["call"]["seq"], c["call"]["name"]) for c in lines] == [(0, "echo"), (1, "add"), (2, "submit")]
    assert lines[1]["call"]["arguments"] == {"amount": 10**30}
    assert {(c["environment"], c["task_id"], c["seed"]) for c in lines} == {("ladder", "t1", 5)}
    assert handle not in text
