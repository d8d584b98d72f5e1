"""Requests as bytes: what no well-behaved client sends, and the two eras' messages without a client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
_META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, or status 0 when the server just hung up."""

    status: int
    head: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.head + self.body.decode("utf-8", "replace")


async def send(port: int, request: bytes, *, seconds: float = 10) -> Reply:
    """Send bytes on a connection of their own; what comes back until the server closes it."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            answer = await reader.read()
        except ConnectionError:
            answer = b""
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    first = head.split(b" ", 2)
    status = int(first[1]) if len(first) > 1 and first[1].isdigit() else 0
    return Reply(status, head.decode("latin-1"), body)


def request(
    path: str, body: bytes = b"", *, method: str = "POST", host: str = "127.0.0.1", **headers: str
) -> bytes:
    """An HTTP request; `_` in header names stands for `-`."""
    lines = {
        "Host": host,
        "Connection": "close",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Content-Length": str(len(body)),
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    head = "".join(f"{k}: {v}\r\n" for k, v in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def message(era: str, method: str, params: dict[str, Any] | None = None) -> tuple[bytes, dict[str, str]]:
    """(body, headers) of one JSON-RPC request in an era's form."""
    params = dict(params or {})
    headers = {"MCP_Protocol_Version": era}
    if era == MODERN:
        params["_meta"] = _META
        headers["Mcp_Method"] = method
        name = params.get("name", params.get("uri"))
        if isinstance(name, str) and method in ("tools/call", "prompts/get", "resources/read"):
            headers["Mcp_Name"] = name
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode(), headers


async def ask(url: str, era: str, method: str, params: dict[str, Any] | None = None, **more: str) -> Reply:
    """One JSON-RPC request to a URL, in one era."""
    parts = urlsplit(url)
    body, headers = message(era, method, params)
    return await send(parts.port or 80, request(parts.path, body, **{**headers, **more}))


async def eventually(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what it looks at has no event
            await asyncio.sleep(0.005)
