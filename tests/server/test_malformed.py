"""Requests that are broken, by accident or on purpose: clear errors, and a server that goes on."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gym_mcp.episode import Episode
from tests.server.raw import LEGACY, MODERN, ask, message, request, send
from tests.server.vault import ERAS, METHODS, guesses, leaks, vault
from tests.servers import Running


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
