"""The HTTP rung: a thin client of the 2026-07-28 protocol, one POST per call.

The SDK's client costs 0.8 ms of CPU a call, and its pool is walked whole for every request.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from gym_mcp.episode import FINISHED
from gym_mcp.errors import EnvironmentFailure, EpisodeGone, UsageError
from gym_mcp.http1 import Address, ConnectionLost, Pool
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
_META: Final = {
    "io.modelcontextprotocol/protocolVersion": PROTOCOL,
    "io.modelcontextprotocol/clientCapabilities": {},
}
_LEAN_META: Final = {**_META, STRUCTURED_ONLY: True}
_HEADER_SAFE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_MANY_DIGITS: Final = re.compile(rb"\d{19}")
_OPERATOR_PATH: Final = "/operator/mcp"


class HTTPClient(RemoteClient):
    """An environment served over HTTP.

    `url`: `http://host:port/NAME`, or the operator plane's own URL. `key`: the operator key; by default from
    GYM_MCP_OPERATOR_KEY, the file that GYM_MCP_OPERATOR_KEY_FILE names, or the key file of a server on this
    machine. Raises `UsageError` for a URL or a key that cannot be right.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        super().__init__()
        self._operator = Address.of(operator_url(url))
        self._shown = url
        self._authorization = f"Authorization: Bearer {key or client_key(self._operator.port)}\r\n".encode()
        self._pool = Pool(connect_timeout=CONNECT_TIMEOUT)
        self._ids = itertools.count(1)
        self._call_timeout = 60.0

    async def operate(self, tool: str, arguments: JSONObject, *, repeatable: bool = False) -> JSONObject:
        params = {"name": tool, "arguments": arguments, "_meta": _LEAN_META}
        head = _head("tools/call", tool) + self._authorization
        try:
            result = await self._post(self._operator, "tools/call", params, head)
        except _Lost:
            if not repeatable:
                raise
            result = await self._post(self._operator, "tools/call", params, head)
        except EpisodeGone:
            raise UsageError(f"{self._shown}: no such environment there, or not its operator key") from None
        got = structured(result)
        if tool == "open_episode":
            self._call_timeout = max(self._call_timeout, got.get("call_timeout") or 0.0)
            if got["url"] is not None:
                got["_address"] = Address.of(got["url"])
        return got

    async def list_agent_tools(self, opened: JSONObject) -> Sequence[ToolSpec]:
        if opened["url"] is None:
            asked = {"episode": opened["episode"]}
            return tool_specs((await self.operate("list_tools", asked, repeatable=True))["tools"])
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
                return relayed(await self.operate("call_tool", relay(opened, name, arguments, caller)))
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
        body = _dumps({"jsonrpc": "2.0", "id": sent, "method": method, "params": params})
        # Calls of one episode wait for each other, and a judge's endpoint may need retries.
        timeout = _SLOWEST + 10.0 * self._call_timeout
        try:
            answer = await self._pool.post(address, head, body, timeout=timeout)
        except TimeoutError:
            message = f"{self._shown}: no answer to {method} within {timeout:g} s"
            raise EnvironmentFailure(message, retryable=True) from None
        except OSError as e:
            lost = "" if isinstance(e, ConnectionLost) else f"{type(e).__name__}: "
            raise _Lost(f"{self._shown}: {lost}{e}", retryable=True) from None
        media_type = answer.headers.get(b"content-type", b"")
        if answer.status == 404 and not media_type.startswith(b"application/json"):
            raise EpisodeGone("no such episode: never opened, closed or expired")
        return _result(self._shown, answer.status, _message(answer.body, media_type, sent))

    async def aclose(self) -> None:
        self._pool.close()


class _Lost(EnvironmentFailure):
    """Nobody knows whether the request was carried out."""


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


def _dumps(message: JSONObject) -> bytes:
    try:
        return orjson.dumps(message)
    except TypeError:  # integers past 64 bits, lone surrogates
        return json.dumps(message, ensure_ascii=False, default=str).encode("utf-8", "replace")


def _loads(data: bytes) -> Any:
    # orjson reads integers past 64 bits as floats.
    return json.loads(data) if _MANY_DIGITS.search(data) else orjson.loads(data)


def _message(data: bytes, media_type: bytes, sent: int) -> JSONObject | None:
    """The JSON-RPC answer to request `sent` in a response's body; None when there is none."""
    try:
        if media_type.startswith(b"application/json"):
            bodies = [data]
        else:
            bodies = [event.replace(b"\r", b"") for event in _events(data)]
        for body in bodies:
            message = _loads(body)
            if isinstance(message, dict) and ("result" in message or "error" in message):
                if message.get("id") in (sent, None):
                    return message
    except ValueError:
        return None
    return None


def _events(data: bytes) -> list[bytes]:
    """The data of each server-sent event."""
    events = re.split(rb"\r?\n\r?\n", data)
    lines = [[line[5:].strip() for line in e.splitlines() if line.startswith(b"data:")] for e in events]
    return [b"\n".join(parts) for parts in lines if parts]


def _result(where: str, status: int, message: JSONObject | None) -> JSONObject:
    if message is None:
        raise EnvironmentFailure(f"{where}: HTTP {status} and no JSON-RPC answer", retryable=status >= 500)
    if "error" in message:
        error = message["error"]
        text = error.get("message") if isinstance(error, dict) else error
        raise EnvironmentFailure(f"{where}: the server refused the request: {text}", retryable=status >= 500)
    result: JSONObject = message["result"]
    return result


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
