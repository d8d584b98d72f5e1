"""What an agent that has an episode's URL, and bad intentions, can reach: its own tools, and no more."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gym_mcp import Transcript
from tests.server.raw import LEGACY, MODERN, Reply, ask, eventually, message, request, send
from tests.server.vault import CALLS, CANARY, ERAS, METHODS, Vault, guesses, leaks, vault


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
