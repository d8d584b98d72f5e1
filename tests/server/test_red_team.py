"""What an agent that has an episode's URL, and bad intentions, can reach: its own tools, and no more."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gym_mcp import Environment, Task, Transcript, tool
from gym_mcp.episode import Episode
from tests.server.raw import LEGACY, MODERN, Reply, ask, eventually, message, request, send
from tests.servers import Running, running

CANARY = "canary-7f3a"
ERAS = (MODERN, LEGACY, "2025-06-18", "2024-11-05")
OPERATOR_TOOLS = (
    "describe list_tasks open_episode list_tools call_tool reply verify_episode episode_state episode_ledger "
    "reference_solution close_episode"
).split()
METHODS: list[tuple[str, dict[str, Any]]] = [
    ("initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}),
    ("ping", {}),
    ("server/discover", {}),
    ("tools/list", {}),
    ("tools/list", {"cursor": "1"}),
    ("prompts/list", {}),
    ("prompts/get", {"name": "task"}),
    ("prompts/get", {"name": "solution"}),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    *(
        ("resources/read", {"uri": uri})
        for uri in ("gym://state", "gym://task", "gym://task/../x", "file:///etc/passwd", "gym://ledger", "x", "")
    ),
    ("resources/subscribe", {"uri": "gym://state"}),
    ("subscriptions/listen", {"notifications": {"toolsListChanged": True}}),
    (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "task"}, "argument": {"name": "a", "value": ""}},
    ),
    ("logging/setLevel", {"level": "debug"}),
    ("sampling/createMessage", {"messages": [], "maxTokens": 1}),
    ("elicitation/create", {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}),
    ("roots/list", {}),
    ("tasks/list", {}),
    ("tasks/get", {"taskId": "1"}),
    ("operator/verify", {}),
    ("io.gym-mcp/verify", {}),
    *(("tools/call", {"name": name, "arguments": {}}) for name in OPERATOR_TOOLS),
    *(
        ("tools/call", {"name": name, "arguments": {}})
        for name in ("verify", "open", "solution", "__init__", "crash")
    ),
]


CALLS: tuple[tuple[str, dict[str, Any]], ...] = (("tools/list", {}), ("tools/call", {"name": "guess"}))


class Vault(Environment):
    """Guess the word."""

    call_timeout = 5.0

    def open(self, task: Task) -> None:
        self.word = task.data["word"]
        self.guesses: list[str] = []
        self.waiting = False

    @tool
    def guess(self, word: str) -> str:
        """Guess."""
        self.guesses.append(word)
        return "noted"

    @tool
    def crash(self) -> str:
        """Fail."""
        raise ValueError(f"the word is {self.word}")

    @tool
    async def wait(self) -> str:
        """Take long."""
        self.waiting = True
        await asyncio.sleep(60)
        return "done"

    def solution(self) -> str:
        return str(self.word)

    def resources(self) -> dict[str, str]:
        if self.task.id == "bad":
            raise ValueError(f"the word is {self.word}")
        return {"hint.txt": "five letters"}

    def verify(self, transcript: Transcript) -> float:
        return float(self.word in self.guesses)

    @classmethod
    def tasks(cls) -> list[dict[str, Any]]:
        return [{"id": "only", "prompt": "Guess.", "data": {"word": CANARY}}]


@asynccontextmanager
async def vault(state: Path) -> AsyncIterator[tuple[Running, Episode, Episode, str]]:
    """A server with an agent's episode, another's, and the agent's URL."""
    async with asyncio.timeout(55), running(state, Vault) as server:
        mine, other = [
            await server.store.open(Task(i, [{"role": "user", "content": "Guess."}], {"word": CANARY}), 0)
            for i in ("mine", "bad")
        ]
        yield server, mine, other, f"{server.url}/episodes/{mine.handle}/mcp"


def guesses(episode: Episode) -> list[str]:
    assert isinstance(episode.environment, Vault)
    return episode.environment.guesses


def leaks(reply: Reply, server: Running, other: Episode) -> list[str]:
    """What must not be in an answer to an agent, and is."""
    secrets = (CANARY, server.key, other.handle, "Traceback", "ValueError", "verify", "operator", "gym_mcp", ".py")
    return [s for s in secrets if s in reply.text]


@pytest.mark.parametrize("era", ERAS)
def test_no_method_tells_what_an_agent_must_not_know(era: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with vault(tmp_path) as (server, mine, other, url):
            for handle in (mine.handle, other.handle):
                attacked = server.store.get(handle)
                unrelated = other if attacked is mine else mine
                for method, params in METHODS:
                    name = params.get("name", method if "verify" in method else "")
                    reply = await ask(url.replace(mine.handle, handle), era, method, params)
                    echoed = Reply(reply.status, reply.head, reply.body.replace(name.encode() or b"\0", b""))
                    assert leaks(echoed, server, unrelated) == [], (method, params, reply.text)
                    assert reply.status != 401
                    assert reply.status < 500 or reply.json["error"]["code"] == -32603, reply.text
            tools = (await ask(url, era, "tools/list")).json["result"]["tools"]
            assert [t["name"] for t in tools] == ["guess", "crash", "wait"]
            assert all("outputSchema" not in t for t in tools)
            assert mine.reward is None and not mine.frozen and not mine.closed

    asyncio.run(main())


PATHS = [
    "/vault/episodes/{h}/mcp/",
    "/vault/episodes/{h}/mcp/../../../operator/mcp",
    "/vault/episodes/{h}/../../operator/mcp",
    "/vault/episodes/{h}/%2e%2e/%2e%2e/operator/mcp",
    "/vault/episodes/{h}%2f..%2f..%2foperator/mcp",
    "/vault/episodes//{h}/mcp",
    "//vault/episodes/{h}/mcp",
    "/vault//episodes/{h}/mcp",
    "/VAULT/episodes/{h}/mcp",
    "/vault/EPISODES/{h}/mcp",
    "/vault/episodes/{h}/MCP",
    "/vault/episodes/{h}/mcp;x",
    "/vault/episodes/{h}/operator/mcp",
    "/vault/episodes/{h}",
    "/vault/episodes/mcp",
    "/vault/operator/mcp",
    "/vault/operator/mcp?key={h}",
    "/vault/%6fperator/mcp",
    "/vault/mcp",
    "/operator/mcp",
    "/vault",
    "/",
    "/metrics",
    "/vault/episodes/{h}x/mcp",
    "/vault/episodes/{swapped}/mcp",
]


def test_every_path_but_the_right_one_is_the_same_404(tmp_path: Path) -> None:
    async def main() -> None:
        async with vault(tmp_path) as (_, mine, _, url):
            port = urlsplit(url).port or 0
            body, headers = message(MODERN, "tools/list")
            seen = set()
            for path in PATHS:
                text = path.format(h=mine.handle, swapped=mine.handle.swapcase())
                for method in ("POST", "GET", "DELETE", "PUT", "OPTIONS", "HEAD"):
                    reply = await send(port, request(text, body, method=method, **headers))
                    assert reply.status == 404, (method, text)
                    seen.add((reply.body if method != "HEAD" else b"Not Found", "www-auth" in reply.head.lower()))
            assert seen == {(b"Not Found", False)}
            for credential in ("", "Bearer", "Bearer ", f"Bearer {mine.handle}", f"Basic {mine.handle}"):
                reply = await send(port, request("/vault/operator/mcp", body, **headers, Authorization=credential))
                assert (reply.status, reply.body) == (404, b"Not Found"), credential

    asyncio.run(main())


@pytest.mark.parametrize(
    "header",
    [
        {"X_HTTP_Method_Override": "DELETE"},
        {"X_Forwarded_Host": "evil.example", "X_Forwarded_Prefix": "/vault/operator"},
        {"X_Original_URL": "/vault/operator/mcp", "X_Rewrite_URL": "/vault/operator/mcp"},
        {"Mcp_Session_Id": "anything"},
        {"Authorization": "Bearer wrong"},
        {"Last_Event_ID": "1"},
    ],
)
@pytest.mark.parametrize("era", [MODERN, LEGACY])
def test_headers_that_ask_for_more_change_nothing(header: dict[str, str], era: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with vault(tmp_path) as (_, _, _, url):
            plain = await ask(url, era, "tools/list")
            assert plain.status == 200
            assert (await ask(url, era, "tools/list", None, **header)).json == plain.json

    asyncio.run(main())


def test_an_episode_in_a_header(tmp_path: Path) -> None:
    async def main() -> None:
        async with vault(tmp_path) as (server, mine, other, _):
            url = f"{server.url}/mcp"
            for era in (MODERN, LEGACY):
                call = {"name": "guess", "arguments": {"word": era}}
                reply = await ask(url, era, "tools/call", call, Authorization=f"bearer {mine.handle}")
                assert reply.json["result"]["content"] == [{"type": "text", "text": "noted"}]
                assert "structuredContent" not in reply.json["result"]
                assert (
                    await ask(url, era, "tools/call", call, Authorization=f"Bearer {server.key}")
                ).status == 404
            assert guesses(mine) == [MODERN, LEGACY] and guesses(other) == []

    asyncio.run(main())


def test_dead_handles_are_refused_like_unknown_ones(tmp_path: Path) -> None:
    async def main() -> None:
        async with vault(tmp_path) as (server, mine, other, url):
            await server.store.close(mine.handle)
            other.expires = 0.0
            unknown = await ask(url.replace(mine.handle, "A" * 32), MODERN, "tools/list")
            for era in ERAS:
                for handle in (mine.handle, other.handle):
                    for method, params in CALLS:
                        reply = await ask(url.replace(mine.handle, handle), era, method, params)
                        assert (reply.status, reply.body) == (404, unknown.body)

    asyncio.run(main())


def test_a_verified_episode_takes_no_more_calls(tmp_path: Path) -> None:
    async def main() -> None:
        async with vault(tmp_path) as (_, mine, _, url):
            assert (await mine.verify(Transcript())).score == 0.0
            for era in ERAS:
                reply = await ask(url, era, "tools/call", {"name": "guess", "arguments": {"word": CANARY}})
                result = reply.json["result"]
                assert result["isError"] and result["_meta"]["io.gym-mcp/ended"] is True
                files = await ask(url, era, "resources/read", {"uri": "gym://task/hint.txt"})
                assert "five letters" not in files.text
            assert guesses(mine) == []

    asyncio.run(main())


def test_host_and_origin_come_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with vault(tmp_path) as (_, _, _, url):
            parts = urlsplit(url)
            port = parts.port or 0
            body, headers = message(MODERN, "tools/list")

            async def status(**more: str) -> int:
                return (await send(port, request(parts.path, body, **{**headers, **more}))).status

            for host in (
                "evil.example",
                "127.0.0.1.evil.example",
                "localhost@evil.example",
                "evil:80",
                "[::2]:80",
            ):
                assert await status(host=host) == 421, host
            for host in ("localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:9"):
                assert await status(host=host) == 200, host
            for origin in ("http://evil.example", "null", "", "http://localhost.evil.example", "file://"):
                assert await status(Origin=origin) == 403, origin
            for origin in ("http://localhost:3000", "https://127.0.0.1"):
                assert await status(Origin=origin) == 200, origin
            two = request(parts.path, body, **headers).replace(
                b"Connection:", b"Host: evil.example\r\nConnection:"
            )
            assert (await send(port, two)).status == 400

    asyncio.run(main())


def bombs() -> list[bytes]:
    deep = 200_000
    return [
        b"[" * deep,
        b"[" * deep + b"]" * deep,
        b'{"a":' * deep + b"1" + b"}" * deep,
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"guess","arguments":'
        + b'{"word":' * 500
        + b"1"
        + b"}" * 502,
        b'{"jsonrpc":"2.0","id":' + b"9" * 100_000 + b',"method":"ping"}',
        b"\xff\xfe\x00",
        b'"\\ud800"',
        b"NaN",
        b"null",
        b"[]",
        b'[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]',
        b'{"jsonrpc":"2.0","id":1,"result":{}}',
        b"",
    ]


@pytest.mark.parametrize("era", [MODERN, LEGACY])
def test_bombs_and_oversize_are_clear_errors(era: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with vault(tmp_path) as (server, _, other, url):
            parts = urlsplit(url)
            port = parts.port or 0
            for bomb in bombs():
                _, headers = message(era, "tools/call", {"name": "guess"})
                reply = await send(port, request(parts.path, bomb, **headers))
                assert reply.status in (200, 202, 400, 413), (reply.status, bomb[:60])
                assert leaks(reply, server, other) == []
            big = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"' + b"x" * 5_000_000 + b'"}}'
            for oversized in (big, big[:100]):
                asked = request(parts.path, oversized, Content_Length=str(len(big)))
                assert (await send(port, asked)).status in (0, 413)
            head_too_long = request(parts.path, b"{}", X_Long="x" * 100_000)
            assert (await send(port, head_too_long)).status in (0, 400, 431)
            assert (await ask(url, era, "tools/list")).status == 200

    asyncio.run(main())


def malformed(rng: random.Random, path: str) -> bytes:
    """A request with something wrong: in its JSON, its parameters, its headers or its very bytes."""
    era = rng.choice(ERAS)
    method, params = rng.choice([m for m in METHODS if not m[0].endswith("/verify")])  # errors echo the method
    if method in ("subscriptions/listen", "tools/call"):
        method, params = (
            "tools/call",
            {"name": rng.choice(["guess", "wai", ""]), "arguments": rng.choice([1, [], "x"])},
        )
    body, headers = message(era, method, params)
    kind = rng.randrange(6)
    if kind == 0:
        body = body[: rng.randrange(len(body))]
    elif kind == 1:
        at = rng.randrange(len(body))
        body = body[:at] + rng.randbytes(3) + body[at + 1 :]
    elif kind == 2:
        headers[rng.choice(list(headers))] = rng.choice(["", "x", "2099-01-01", "=?base64?!?="])
    elif kind == 3:
        body = json.dumps(rng.choice([1, "x", None, [], {}, {"id": 1}, {"jsonrpc": "1.0", "method": 3}])).encode()
    elif kind == 4:
        headers["Content_Type"] = rng.choice(["text/plain", "", "application/xml"])
    else:
        return rng.randbytes(rng.randrange(1, 200)) + b"\r\n\r\n"
    return request(path, body, **headers)


async def bombard(count: int, server: Running, mine: Episode, other: Episode, url: str) -> None:
    parts = urlsplit(url)
    port, rng = parts.port or 0, random.Random(11)
    queue = [malformed(rng, parts.path) for _ in range(count)]

    async def worker() -> None:
        while queue:
            bad = queue.pop()
            reply = await send(port, bad)
            assert reply.status < 500, (reply.text, bad)
            assert leaks(reply, server, other) == [], reply.text

    await asyncio.gather(*[worker() for _ in range(20)])
    assert (await ask(url, MODERN, "tools/list")).status == 200
    assert other.ledger == [] and guesses(other) == []
    assert not mine.frozen and mine.reward is None


def test_malformed_requests(tmp_path: Path) -> None:
    async def main() -> None:
        async with vault(tmp_path) as attacked:
            await bombard(300, *attacked)

    asyncio.run(main())


@pytest.mark.slow
def test_ten_thousand_malformed_requests(tmp_path: Path) -> None:
    async def main() -> None:
        async with vault(tmp_path) as attacked:
            await bombard(10_000, *attacked)

    asyncio.run(main())


def test_a_client_that_leaves_cancels_its_call_and_the_ledger_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with vault(tmp_path) as (_, mine, _, url):
            parts = urlsplit(url)
            body, headers = message(MODERN, "tools/call", {"name": "wait", "arguments": {}})
            _, writer = await asyncio.open_connection("127.0.0.1", parts.port)
            writer.write(request(parts.path, body, **headers))
            vaulted = mine.environment
            await eventually(lambda: isinstance(vaulted, Vault) and vaulted.waiting)
            writer.close()
            await eventually(lambda: bool(mine.ledger))
            assert mine.ledger[0].error == "cancelled"
            assert mine.ledger[0].end < 4.0
            assert (
                await ask(url, MODERN, "tools/call", {"name": "guess", "arguments": {"word": "x"}})
            ).status == 200

    asyncio.run(main())
