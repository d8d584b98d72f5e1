"""The thin client: where its errors come from, what it sends twice, and servers that are not ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.errors import EnvironmentFailure, EpisodeGone, UsageError
from gym_mcp.http import HTTPClient, operator_url
from gym_mcp.types import Task, ToolResult, Transcript, user_message
from tests.servers import running

KEY = "k" * 24
TASK: Task[Any] = Task("t", [user_message("hi")], {"target": 1})


class Foreign:
    """A server of another make: it follows docs/protocol.md and nothing else. `lose` answers are lost."""

    def __init__(self, *, as_events: bool = False, text_only: bool = False, relayed: bool = False) -> None:
        self.as_events = as_events
        self.text_only = text_only
        self.relayed = relayed
        self.lose: list[str] = []
        self.seen: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.origin = ""

    def answer(self, path: str, message: dict[str, Any], headers: dict[str, str]) -> bytes | None:
        self.headers.append(headers)
        name = message["params"].get("name", message["method"])
        self.seen.append(name)
        if name in self.lose:
            self.lose.remove(name)
            return None
        if path == "/word/operator/mcp":
            if headers.get("authorization") != f"Bearer {KEY}":
                return b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nNot Found"
            return self.http(message["id"], self.operator(name, message["params"]["arguments"]))
        if message["method"] == "tools/list":
            tools = [{"name": n, "inputSchema": {"type": "object"}} for n in ("say", "stop")]
            page = 0 if "cursor" not in message["params"] else 1
            more = {} if page else {"nextCursor": "1"}
            return self.http(message["id"], {"tools": tools[page : page + 1], **more})
        said = message["params"]["arguments"]["word"]
        return self.http(message["id"], {"content": [{"type": "text", "text": said}], "isError": False})

    def operator(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        values: dict[str, dict[str, Any]] = {
            "open_episode": {
                "episode": "e1",
                "url": None if self.relayed else f"{self.origin}/word/e1",
                "prompt": [user_message("hi")],
                "params": {},
                "multi_turn": False,
                "tools_digest": "d",
                "expires_in": 60,
                "call_timeout": 5,
            },
            "list_tools": {"tools": [{"name": "say", "description": "", "inputSchema": {}, "readOnly": False}]},
            "call_tool": {"text": "relayed", "is_error": False, "images": [], "ended": True},
            "verify_episode": {"reward": 0.5, "components": {}, "notes": "", "ledger": []},
            "reply": {"message": None},
            "close_episode": {"closed": True},
        }
        if name not in values:
            error = {"error": {"kind": "gone", "message": "no such episode", "retryable": False}}
            return {"content": [{"type": "text", "text": json.dumps(error)}], "isError": True}
        result: dict[str, Any] = {"content": [{"type": "text", "text": json.dumps(values[name])}]}
        return result if self.text_only else {**result, "structuredContent": values[name]}

    def http(self, id_: int, result: dict[str, Any]) -> bytes:
        body = json.dumps({"jsonrpc": "2.0", "id": id_, "result": {"resultType": "complete", **result}}).encode()
        kind = "application/json"
        if self.as_events:
            kind = "text/event-stream"
            body = b': ping\r\n\r\nevent: message\r\ndata: {"jsonrpc":"2.0","method":"x"}\r\n\r\ndata: ' + body
            body += b"\r\n\r\n"
        return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
                message = json.loads(await reader.readexactly(int(headers["content-length"])))
                answer = self.answer(first.split(" ")[1], message, headers)
                if answer is None:
                    return
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def foreign(server: Foreign, key: str = KEY) -> AsyncIterator[HTTPClient]:
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.origin = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        async with asyncio.timeout(20):
            client = HTTPClient(f"{server.origin}/word", key)
            try:
                yield client
            finally:
                await client.aclose()
    finally:
        listener.close()


@pytest.mark.parametrize("shape", [{}, {"as_events": True}, {"text_only": True}])
def test_a_server_that_only_follows_the_protocol(shape: dict[str, bool]) -> None:
    async def main() -> None:
        server = Foreign(**shape)
        async with foreign(server) as client:
            for _ in range(2):
                episode = await client.open_episode(TASK, seed=1)
                assert [t.name for t in await episode.agent.list_tools()] == ["say", "stop"]
                assert await episode.agent.call("say", {"word": "ünï 😀"}) == ToolResult("ünï 😀")
                assert (await episode.verify(Transcript())).reward.score == 0.5
            with pytest.raises(EpisodeGone, match="no such episode"):
                await episode.state()
        once = ["open_episode", "tools/list", "tools/list", "say", "verify_episode"]
        assert server.seen == [*once, "open_episode", "say", "verify_episode", "episode_state"]
        for headers in server.headers:
            assert headers["mcp-protocol-version"] == "2026-07-28"
            assert "application/json" in headers["accept"] and "text/event-stream" in headers["accept"]
        assert [h.get("mcp-name") for h in server.headers[:4]] == ["open_episode", None, None, "say"]
        assert "authorization" not in server.headers[3]

    asyncio.run(main())


def test_a_server_without_an_agent_plane_relays() -> None:
    async def main() -> None:
        server = Foreign(relayed=True)
        async with foreign(server) as client:
            episode = await client.open_episode(TASK, seed=1)
            assert [t.name for t in await episode.agent.list_tools()] == ["say"]
            assert await episode.agent.call("say", {}) == ToolResult("relayed", ended=True)
        assert server.seen == ["open_episode", "list_tools", "call_tool"]

    asyncio.run(main())


def test_what_is_sent_twice_when_a_connection_is_lost() -> None:
    async def main() -> None:
        server = Foreign()
        server.lose = ["open_episode", "verify_episode", "say", "reply"]
        async with foreign(server) as client:
            episode = await client.open_episode(TASK, seed=1)
            for delivered in (episode.agent.call("say", {"word": "x"}), episode.agent.reply("x")):
                with pytest.raises(EnvironmentFailure, match="closed the connection") as caught:
                    await delivered
                assert caught.value.retryable
            assert (await episode.verify(Transcript())).reward.score == 0.5
        assert server.seen == ["open_episode", "open_episode", "say", "reply", "verify_episode", "verify_episode"]

    asyncio.run(main())


def test_a_lost_server_and_a_wrong_key(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30):
            async with running(tmp_path) as server:
                async with HTTPClient(server.url, KEY) as stranger:
                    with pytest.raises(UsageError, match="not its operator key"):
                        await stranger.describe()
                async with HTTPClient(server.url.replace("ladder", "nothing"), server.key) as lost:
                    with pytest.raises(UsageError, match="no such environment"):
                        await lost.describe()
                client = HTTPClient(server.url, server.key)
                episode = await client.open_episode(TASK, seed=1)
            for call in (episode.agent.call("read", {}), episode.verify(Transcript()), client.describe()):
                with pytest.raises(EnvironmentFailure) as caught:
                    await call
                assert caught.value.retryable and type(caught.value) is not EpisodeGone
            await client.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h:1/env", "http://h:1/env/operator/mcp"),
        ("http://h:1/env/", "http://h:1/env/operator/mcp"),
        ("https://h/a/env/operator/mcp", "https://h/a/env/operator/mcp"),
    ],
)
def test_forms_of_a_url(url: str, expected: str) -> None:
    assert operator_url(url) == expected


@pytest.mark.parametrize(
    ("url", "words"), [("http://h:1", "/NAME names"), ("x", "not an http"), ("ftp://h/e", "not")]
)
def test_urls_that_cannot_be_right(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        operator_url(url)
