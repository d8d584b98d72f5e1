"""What every request passes before MCP sees it: Host and Origin, method, size, and sound JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import orjson
from starlette.types import Message, Receive, Scope, Send

MAX_BODY: Final = 4 * 1024 * 1024
MAX_OPERATOR_BODY: Final = 64 * 1024 * 1024
"""Of a request with the operator's key: `verify_group` takes a whole group's transcripts."""
MAX_DEPTH: Final = 64
"""Levels of nested arrays and objects in a request."""
_LOOPBACK: Final = frozenset({b"127.0.0.1", b"localhost", b"[::1]"})
_HOST: Final = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[^:/@\s]+)(:\d{1,5})?")
_ORIGIN: Final = re.compile(rb"https?://(.+)")
Headers = dict[bytes, bytes]


class Refused(Exception):
    """A request that ends here, with an HTTP status and one line."""

    def __init__(self, status: int, text: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.body = text.encode()
        self.headers = [*headers]
        self.media_type = b"text/plain; charset=utf-8"


class BadJSON(Refused):
    """A body that is no JSON-RPC message: answered in JSON-RPC's own words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(400, text)
        error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}
        self.body = orjson.dumps(error)
        self.media_type = b"application/json"


def not_found() -> Refused:
    """The one answer to every unknown path, handle and key, so that none can be told from another."""
    return Refused(404, "Not Found")


class HostCheck:
    """Against DNS rebinding: loopback names with any port, and the names that the operator allows."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._names = _LOOPBACK | {name.lower().encode() for name in allowed}

    def __call__(self, headers: Headers) -> None:
        if not self._known(headers.get(b"host", b"")):
            raise Refused(421, "Misdirected Request: unknown Host")
        origin = headers.get(b"origin")
        if origin is not None:
            match = _ORIGIN.fullmatch(origin)
            if match is None or not self._known(match[1]):
                raise Refused(403, "Forbidden: unknown Origin")

    def _known(self, host: bytes) -> bool:
        match = _HOST.fullmatch(host)
        return match is not None and (match[1].lower() in self._names or host.lower() in self._names)


def clean(scope: Scope) -> Headers:
    """The headers as a dict; their values are stripped in the scope too, which one HTTP parser leaves to us."""
    headers = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
    scope["headers"] = headers
    found = dict(headers)
    if sum(name == b"host" for name, _ in headers) > 1:
        raise Refused(400, "Bad Request: more than one Host")
    return found


async def read_body(headers: Headers, receive: Receive, limit: int = MAX_BODY) -> bytes:
    """The whole body, refused once it is longer than `limit` bytes."""
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or int(declared[:12]) > limit:
        raise Refused(413, "Content Too Large")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "Bad Request: the body was cut short")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise Refused(413, "Content Too Large")
        if not message.get("more_body", False):
            return b"".join(parts)


def check_json(body: bytes) -> None:
    """Refuse what is not JSON (NaN and lone surrogates are not), or nested too deeply to be handled safely."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadJSON(-32700, "Parse error") from None
    if not isinstance(value, dict) or not _is_message(value):
        raise BadJSON(-32600, "Body must be a single JSON-RPC request or notification object")
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise BadJSON(-32600, f"Body is nested more than {MAX_DEPTH} levels deep")


def _is_message(value: dict[str, Any]) -> bool:
    """Whether it is shaped like a request or a notification; no plane asks its client anything to respond to."""
    sound = value.get("jsonrpc") == "2.0" and isinstance(value.get("method"), str)
    return sound and type(value.get("id", 0)) in (int, str) and isinstance(value.get("params", {}), dict)


def _depth(value: Any) -> int:
    """Levels of nesting, found level by level: recursion is what a bomb is aimed at."""
    depth, level = 0, [value]
    while level:
        depth += 1
        below: list[Any] = []
        for node in level:
            children = node.values() if isinstance(node, dict) else node
            below += [child for child in children if isinstance(child, dict | list)]
        level = below
    return depth


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body already read, then whatever follows (the client's leaving)."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again


async def refuse(refused: Refused, send: Send) -> None:
    """Send the answer to a refused request."""
    headers = [
        (b"content-type", refused.media_type),
        (b"content-length", str(len(refused.body)).encode()),
        *refused.headers,
    ]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": refused.body})
