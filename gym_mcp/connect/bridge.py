"""The stdio shim: a client that knows no HTTP speaks to its seat through this process, in either era."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import orjson

from gym_mcp.connect.launch import ensure, home_of_url
from gym_mcp.errors import GymError, UsageError
from gym_mcp.server.gate import MAX_BODY
from gym_mcp.types import JSONObject

_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
_NAMED: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_CALL_SECONDS: Final = 3_600.0
_INTERNAL: Final = -32603
GONE: Final = "The environment's server does not answer. Run `gym-mcp connect` again."
Send = Callable[[bytes], Awaitable[None]]


class Bridge:
    """Carries JSON-RPC messages of one client to a seat's URL, and back the answers in the order they come."""

    def __init__(self, url: str, session: aiohttp.ClientSession, send: Send) -> None:
        self._url = url
        self._session = session
        self._send = send
        self._version = "2025-11-25"
        self._running: dict[Any, asyncio.Task[None]] = {}

    async def carry(self, line: bytes) -> None:
        """Start on one line of the client's."""
        try:
            message = orjson.loads(line)
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict) or "method" not in message:
            return  # noise, or an answer to a question that no seat asks
        if message["method"] == "notifications/cancelled":
            known = self._running.get(str((message.get("params") or {}).get("requestId")))
            if known is not None:
                known.cancel()
            return
        if "id" not in message:
            return  # other notifications change nothing: a seat keeps no session
        task = asyncio.create_task(self._request(message))
        key = str(message["id"])
        self._running[key] = task
        task.add_done_callback(lambda _: self._running.pop(key, None))

    async def _request(self, message: JSONObject) -> None:
        try:
            answer = await self._post(message)
        except (aiohttp.ClientError, TimeoutError, GymError):
            error = {"code": _INTERNAL, "message": GONE}
            answer = orjson.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error})
        if message["method"] == "initialize":
            with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError):
                self._version = orjson.loads(answer)["result"]["protocolVersion"]
        await self._send(answer)

    async def _post(self, message: JSONObject) -> bytes:
        try:
            return await self._try(message)
        except aiohttp.ClientConnectorError:  # after a reboot, say: what the client was told still holds
            home = home_of_url(self._url)
            if home is None:
                raise
            await asyncio.to_thread(ensure, home)
            port = home.read(home.state_file)["port"]
            self._url = urlunsplit(urlsplit(self._url)._replace(netloc=f"127.0.0.1:{port}"))
            return await self._try(message)

    async def _try(self, message: JSONObject) -> bytes:
        async with self._session.post(
            self._url, data=orjson.dumps(message), headers=self._headers(message)
        ) as reply:
            body = await reply.read()
            if reply.status == 404:
                raise GymError("the seat is gone")
            return body.strip()

    def _headers(self, message: JSONObject) -> dict[str, str]:
        params = message.get("params") or {}
        method = message["method"]
        version = (params.get("_meta") or {}).get(_VERSION)
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream;q=0"}
        if version is None:
            return headers if method == "initialize" else {**headers, "MCP-Protocol-Version": self._version}
        headers |= {"MCP-Protocol-Version": str(version), "Mcp-Method": method}
        name = params.get(_NAMED.get(method, ""))
        return {**headers, "Mcp-Name": name} if isinstance(name, str) else headers

    async def finish(self) -> None:
        """Drop what is in flight: the client has left."""
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)


async def bridge(url: str) -> None:
    """Serve the client on stdin and stdout until it leaves."""
    if urlsplit(url).hostname != "127.0.0.1":
        raise UsageError("stdio: the seat's URL is one that `gym-mcp connect` gave, on 127.0.0.1")
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_BODY)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    writing = asyncio.Lock()

    async def send(line: bytes) -> None:
        async with writing:
            await asyncio.to_thread(_write, line)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_CALL_SECONDS)) as session:
        carrier = Bridge(url, session, send)
        with contextlib.suppress(ValueError):  # a line longer than any request may be
            while line := await reader.readline():
                await carrier.carry(line)
        await carrier.finish()


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
