"""The HTTP rung: a thin client of the 2026-07-28 protocol, one POST per call.

The SDK's client costs 0.8 ms of CPU a call, and its pool is walked whole for every request.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import random
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from gym_mcp.balance import Worker, Workers
from gym_mcp.client import Description
from gym_mcp.episode import FINISHED
from gym_mcp.errors import EnvironmentBusy, EnvironmentFailure, EpisodeGone, UsageError
from gym_mcp.http1 import Address, Answer, ConnectionLost, Pool
from gym_mcp.jsonrpc import answer_in, body_of, result_of
from gym_mcp.observe import current
from gym_mcp.remote import RemoteClient, structured, tool_specs
from gym_mcp.server.keys import client_key
from gym_mcp.server.wire import CALLER, ENDED, STRUCTURED_ONLY
from gym_mcp.types import Image, JSONObject, ToolResult, ToolSpec

PROTOCOL: Final = "2026-07-28"
CONNECT_TIMEOUT: Final = 10.0
"""Seconds to reach the server."""
_SLOWEST: Final = 1_000.0
"""Seconds that a server has for an answer, besides ten times the environment's own limit for a call."""
_MEETING: Final = 30.0
"""Seconds for a worker to say what it serves: it may be starting."""
_WAIT_AT_ONE: Final = 2.0
"""Seconds that an episode waits for room at one of several workers."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 10.0
_META: Final = {
    "io.modelcontextprotocol/protocolVersion": PROTOCOL,
    "io.modelcontextprotocol/clientCapabilities": {},
}
_LEAN_META: Final = {**_META, STRUCTURED_ONLY: True}
_HEADER_SAFE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_OPERATOR_PATH: Final = "/operator/mcp"


class HTTPClient(RemoteClient):
    """An environment served over HTTP.

    `url`: `http://host:port/NAME`, or the operator plane's own URL. `key`: the operator key; by default from
    GYM_MCP_OPERATOR_KEY, the file that GYM_MCP_OPERATOR_KEY_FILE names, or the key file of a server on this
    machine. Raises `UsageError` for a URL or a key that cannot be right.

    Where several workers serve it, `describe` finds them; from then on each episode is opened at the one where
    this client has the fewest, and stays there.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        super().__init__()
        self._url = operator_url(url)
        self._operator = Address.of(self._url)
        self._workers = Workers([self._operator])
        self._unreached: Sequence[str] = ()
        self._shown = url
        self._authorization = f"Authorization: Bearer {key or client_key(self._operator.port)}\r\n".encode()
        self._pool = Pool(connect_timeout=CONNECT_TIMEOUT)
        self._ids = itertools.count(1)
        self._call_timeout = 60.0

    async def operate(
        self, tool: str, arguments: JSONObject, *, repeatable: bool = False, opened: JSONObject | None = None
    ) -> JSONObject:
        if opened is not None:
            return await self._operate(opened["_home"], tool, arguments, repeatable)
        return (await self._anywhere(tool, arguments, repeatable))[1]

    async def _anywhere(self, tool: str, arguments: JSONObject, repeatable: bool) -> tuple[Worker, JSONObject]:
        """Call a tool at the first worker that is there and not full; which one that was."""
        unfit: EnvironmentFailure | None = None
        for worker in self._workers.in_order():
            worker.live += 1
            try:
                return worker, await self._operate(worker.address, tool, arguments, repeatable)
            except EnvironmentBusy as e:  # rather than of one that is not there, tell of one that is full
                unfit = e
            except _Lost as e:
                if e.reached:
                    raise
                worker.rest()
                unfit = unfit or e
            finally:
                worker.live -= 1
        assert unfit is not None  # there is at least one worker
        raise unfit

    async def _operate(self, home: Address, tool: str, arguments: JSONObject, repeatable: bool) -> JSONObject:
        params = {"name": tool, "arguments": arguments, "_meta": _LEAN_META}
        head = _head("tools/call", tool) + self._authorization
        try:
            result = await self._post(home, "tools/call", params, head)
        except _Lost as e:
            if not repeatable or not e.reached:
                raise
            result = await self._post(home, "tools/call", params, head)
        except EpisodeGone:
            raise UsageError(f"{self._shown}: no such environment there, or not its operator key") from None
        return structured(result)

    async def open(self, arguments: JSONObject) -> JSONObject:
        if "wait" in arguments and len(self._workers) > 1:  # there may be room at another one sooner
            arguments["wait"] = min(arguments["wait"], _WAIT_AT_ONE)
        worker, got = await self._anywhere("open_episode", arguments, True)
        worker.live += 1
        self._call_timeout = max(self._call_timeout, got.get("call_timeout") or 0.0)
        if got["url"] is not None:
            got["_address"] = Address.of(got["url"])
        got["_home"], got["_takes"] = worker.address, worker
        return got

    def ended(self, opened: JSONObject) -> None:
        worker: Worker | None = opened.pop("_takes", None)
        if worker is not None:
            worker.live -= 1

    async def describe(self) -> Description:
        description = await super().describe()
        if len(description.workers) > 1 and len(self._workers) == 1:
            await self._meet(description)
        return replace(description, unreached=self._unreached)

    async def _meet(self, description: Description) -> None:
        """Find the other workers, under the host and path by which this one was found: no other host is asked.

        `UsageError` when one of them serves something else.
        """
        found = await asyncio.gather(*(self._met(url, description) for url in description.workers))
        here = [address for address in found if address is not None]
        self._unreached = [u for u, address in zip(description.workers, found, strict=True) if address is None]
        if self._operator in here:  # else its ports are not the ones that we see
            self._workers = Workers(here)

    async def _met(self, url: str, description: Description) -> Address | None:
        """Where the worker at `url` is reached from here; None if it is not."""
        try:
            address = Address.of(moved(self._url, Address.of(url).port))
            if address == self._operator:
                return address
            async with asyncio.timeout(_MEETING):
                got = await self._operate(address, "describe", {}, True)
            other = {"name": got.get("name"), **dict(got.get("identity") or ())}
        except (UsageError, EnvironmentFailure, ValueError, TypeError, TimeoutError):
            return None
        told = {"name": description.name, **description.identity}
        if told != other:
            changed = ", ".join(f"{k} {v} -> {other.get(k)}" for k, v in told.items() if other.get(k) != v)
            raise UsageError(f"{self._shown}: its worker at port {address.port} serves something else ({changed})")
        return address

    async def list_agent_tools(self, opened: JSONObject) -> Sequence[ToolSpec]:
        if opened["url"] is None:
            asked = {"episode": opened["episode"]}
            got = await self.operate("list_tools", asked, repeatable=True, opened=opened)
            return tool_specs(got["tools"])
        found: list[JSONObject] = []
        params: JSONObject = {"_meta": _META}
        while True:
            page = await self._post(opened["_address"], "tools/list", params, _head("tools/list"))
            found += page["tools"]
            if page.get("nextCursor") is None:
                return tool_specs(found)
            params = {"_meta": _META, "cursor": page["nextCursor"]}

    async def call_agent_tool(
        self, opened: JSONObject, name: str, arguments: JSONObject, caller: str
    ) -> ToolResult:
        try:
            if opened["url"] is None:
                asked = relay(opened, name, arguments, caller)
                return relayed(await self.operate("call_tool", asked, opened=opened))
            meta = {**_META, CALLER: caller} if caller else _META
            params = {"name": name, "arguments": arguments, "_meta": meta}
            head = _head("tools/call", name)
            return tool_result(await self._post(opened["_address"], "tools/call", params, head))
        except EpisodeGone:
            return ToolResult(FINISHED, is_error=True, ended=True)

    async def _post(self, address: Address, method: str, params: JSONObject, head: bytes) -> JSONObject:
        """One JSON-RPC request; its result. A lost connection is the environment's failure, worth a retry."""
        sent = next(self._ids)
        if parent := current.traceparent.get():
            head += f"traceparent: {parent}\r\n".encode()
            params = {**params, "_meta": {**params["_meta"], "traceparent": parent}}
        body = body_of({"jsonrpc": "2.0", "id": sent, "method": method, "params": params})
        # Calls of one episode wait for each other, and a judge's endpoint may need retries.
        timeout = _SLOWEST + 10.0 * self._call_timeout
        try:
            answer = await self._pool.post(address, head, body, timeout=timeout)
            if answer.status == 503 and b"retry-after" in answer.headers:
                answer = await self._post_again(address, head, body, answer, timeout)
        except TimeoutError:
            message = f"{self._shown}: no answer to {method} within {timeout:g} s"
            raise EnvironmentFailure(message, retryable=True) from None
        except ConnectionLost as e:
            raise _Lost(f"{self._shown}: {e}", reached=e.reached) from None
        except OSError as e:
            raise _Lost(f"{self._shown}: {type(e).__name__}: {e}", reached=False) from None
        media_type = answer.headers.get(b"content-type", b"")
        if answer.status == 404 and not media_type.startswith(b"application/json"):
            raise EpisodeGone("no such episode: never opened, closed or expired")
        return result_of(self._shown, answer.status, answer_in(answer.body, media_type, sent))

    async def _post_again(
        self, address: Address, head: bytes, body: bytes, answer: Answer, timeout: float
    ) -> Answer:
        """Send again what a server refused unread because it has too much to do, until it takes it.

        Many requests come back at different moments, later and later. `TimeoutError` after `timeout` seconds.
        """
        end, pause = time.monotonic() + timeout, _FIRST_PAUSE
        while answer.status == 503 and b"retry-after" in answer.headers:
            asked = answer.headers[b"retry-after"]
            pause = min(2 * pause, _LONGEST_PAUSE)
            wait = max(pause, min(float(asked), _LONGEST_PAUSE) if asked.isdigit() else 0.0)
            if time.monotonic() + wait > end:
                raise TimeoutError
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            answer = await self._pool.post(address, head, body, timeout=timeout)
        return answer

    async def aclose(self) -> None:
        self._pool.close()


class _Lost(EnvironmentFailure):
    """Nobody knows whether the request was carried out; unless the server was not even `reached`."""

    def __init__(self, message: str, *, reached: bool, retryable: bool = True, detail: str = "") -> None:
        super().__init__(message, retryable=retryable, detail=detail)
        self.reached = reached


def moved(url: str, port: int) -> str:
    """`url` with another port."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{port}{parts.path}"


def operator_url(url: str) -> str:
    """The operator plane's URL for the URL that a user gave."""
    try:
        Address.of(url)
    except ValueError as e:
        raise UsageError(f"environment {e}") from None
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if not path:
        raise UsageError(f"environment {url}: which one? {url.rstrip('/')}/NAME names an environment")
    if not path.endswith(_OPERATOR_PATH):
        path += _OPERATOR_PATH
    return f"{parts.scheme}://{parts.netloc}{path}"


@lru_cache(maxsize=4_096)
def _head(method: str, name: str | None = None) -> bytes:
    """The header lines of a request. Event streams are not preferred: they cost the server twice the CPU."""
    lines = [
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream;q=0.5",
        f"MCP-Protocol-Version: {PROTOCOL}",
        f"Mcp-Method: {method}",
    ]
    if name is not None:
        lines.append(f"Mcp-Name: {name if _HEADER_SAFE.fullmatch(name) else _sentinel(name)}")
    return "".join(f"{line}\r\n" for line in lines).encode()


def _sentinel(name: str) -> str:
    """The protocol's form of a header value that is not plain ASCII; a model may call a tool anything."""
    return f"=?base64?{base64.b64encode(name.encode('utf-8', 'replace')).decode()}?="


def tool_result(result: JSONObject) -> ToolResult:
    """A `tools/call` result as harnesses read it."""
    texts: list[str] = []
    images: list[Image] = []
    for block in result.get("content", ()):
        if block.get("type") == "text":
            texts.append(block["text"])
        elif block.get("type") == "image":
            images.append(Image(base64.b64decode(block["data"]), block.get("mimeType", "image/png")))
    meta = result.get("_meta")
    ended = bool(meta and meta.get(ENDED))
    return ToolResult("\n".join(texts), result.get("isError") is True, tuple(images), ended)


def relay(opened: JSONObject, name: str, arguments: JSONObject, caller: str) -> JSONObject:
    """Arguments of the operator's `call_tool`."""
    asked = {"episode": opened["episode"], "name": name, "arguments": arguments}
    return {**asked, "caller": caller} if caller else asked


def relayed(called: JSONObject) -> ToolResult:
    """The result of the operator's `call_tool` as harnesses read it."""
    images = tuple(Image(base64.b64decode(i["data"]), i["media_type"]) for i in called["images"])
    return ToolResult(called["text"], called["is_error"], images, called["ended"])
