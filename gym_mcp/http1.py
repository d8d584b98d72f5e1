"""An HTTP/1.1 client for many small POSTs: a pool of connections, with TLS where the URL says so.

A POST costs it 14 to 28 us of CPU, aiohttp's client 80 to 100 (2026, one core, loopback, 64 to 256 at a time);
an episode over HTTP is five of them. It knows what an MCP client needs and no more: no redirects, no cookies,
no proxies.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import SplitResult, urlsplit

MAX_ANSWER: Final = 256 * 1024 * 1024
"""Bytes in one answer; more is an error."""
_MAX_HEAD: Final = 64 * 1024
_IDLE: Final = 4.0
"""Seconds that an idle connection is used again for; common servers hang up after 5. `Keep-Alive` may say more."""
_HEX: Final = re.compile(rb"[0-9a-fA-F]{1,15}")
_BROKEN: Final = "the answer is not HTTP/1.1"


class ConnectionLost(OSError):
    """The connection broke. `answered` says that an answer had begun, so the request did arrive.

    `reached` is false when there never was a connection.
    """

    def __init__(self, message: str, *, answered: bool = False, reached: bool = True) -> None:
        super().__init__(message)
        self.answered = answered
        self.reached = reached


class AnswerTooLong(ConnectionLost):
    """The answer is longer than the pool takes; it was not read to its end."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the answer is longer than {limit} bytes", answered=True)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URL leads: what a connection needs, and the first lines of a request to it."""

    host: str
    port: int
    tls: bool
    head: bytes

    @classmethod
    def of(cls, url: str) -> Address:
        """Raises `ValueError` for what is not an http or https URL, or does not fit into a request line."""
        parts: SplitResult = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError(f"{url}: not an http:// or https:// URL")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not (path + parts.netloc).isascii() or not (path + parts.netloc).isprintable() or " " in path:
            raise ValueError(f"{url}: not a URL that can be sent as it is")
        tls = parts.scheme == "https"
        head = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n".encode()
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, head)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. Header names are lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Pool:
    """Connections to any number of servers, one request at a time on each, as many as are needed."""

    def __init__(self, *, connect_timeout: float, max_answer: int = MAX_ANSWER) -> None:
        self._connect_timeout = connect_timeout
        self._max_answer = max_answer
        self._idle: dict[tuple[str, int, bool], list[_Connection]] = {}
        self._tls: ssl.SSLContext | None = None

    async def post(self, address: Address, head: bytes, body: bytes, *, timeout: float) -> Answer:
        """Send one POST, once. `head`: further header lines, each ended by CRLF; `timeout`: seconds.

        Raises `TimeoutError`, `ConnectionLost`, or `OSError` when there is no connection to be had.
        """
        place = (address.host, address.port, address.tls)
        connection = self._take(place)
        try:
            async with asyncio.timeout(timeout):
                if connection is None:
                    connection = await self._connect(*place)
                answer = await connection.exchange(
                    b"%b%bContent-Length: %d\r\n\r\n%b" % (address.head, head, len(body), body)
                )
        except BaseException:
            if connection is not None:
                connection.close()  # an answer may still come: nobody else may read it
            raise
        if connection.reusable:
            self._idle[place].append(connection)
        else:
            connection.close()
        return answer

    def _take(self, place: tuple[str, int, bool]) -> _Connection | None:
        idle = self._idle.setdefault(place, [])
        now = time.monotonic()
        while idle:
            connection = idle.pop()
            if connection.reusable and connection.good_until > now:
                return connection
            connection.close()
        return None

    async def _connect(self, host: str, port: int, tls: bool) -> _Connection:
        if tls and self._tls is None:
            self._tls = ssl.create_default_context()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self._max_answer), host, port, ssl=self._tls if tls else None
                )
        except TimeoutError:
            message = f"no connection to {host}:{port} within {self._connect_timeout:g} s"
            raise ConnectionLost(message, reached=False) from None
        return connection

    def close(self) -> None:
        """Close the idle connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()


class _Connection(asyncio.Protocol):
    """One connection. Answers are parsed as their bytes come in."""

    def __init__(self, max_answer: int) -> None:
        self.reusable = False
        self.good_until = 0.0
        self._max_answer = max_answer
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._data = bytearray()
        self._answer: tuple[int, dict[bytes, bytes]] | None = None
        self._end = 0  # of the body in `_data`; -1: the connection's end

    async def exchange(self, request: bytes) -> Answer:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionLost("the server closed the connection")
        self.reusable = False
        self._waiter = asyncio.get_running_loop().create_future()
        transport.write(request)
        return await self._waiter

    def close(self) -> None:
        self.reusable = False
        if self._transport is not None:
            self._transport.close()

    # -- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        if self._answer is not None and self._end == -1 and exc is None:
            self._finish(bytes(self._data))
        else:
            detail = f": {exc}" if exc else ""
            began = self._answer is not None or bool(self._data)
            self._fail(ConnectionLost(f"the server closed the connection{detail}", answered=began))

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:  # nobody asked
            return self.close()
        self._data += data
        try:
            self._parse()
        except AnswerTooLong as e:
            self._fail(e)
            self.close()
        except ValueError as e:
            self._fail(ConnectionLost(str(e) or _BROKEN, answered=True))
            self.close()

    def _parse(self) -> None:
        while self._answer is None:
            at = self._data.find(b"\r\n\r\n")
            if at < 0:
                if len(self._data) > _MAX_HEAD:
                    raise ValueError("the answer's headers are too long")
                return
            status, headers = _head(bytes(self._data[:at]))
            del self._data[: at + 4]
            if status >= 200:
                self._answer = (status, headers)
                self._end = _length(status, headers)
                if self._end > self._max_answer:
                    raise AnswerTooLong(self._max_answer)
        if self._end == -2:
            body = _unchunk(self._data)
            if body is not None:
                self._finish(body)
        elif self._end >= 0 and len(self._data) >= self._end:
            self._finish(bytes(self._data[: self._end]))
        if len(self._data) > self._max_answer:
            raise AnswerTooLong(self._max_answer)

    def _finish(self, body: bytes) -> None:
        assert self._answer is not None
        status, headers = self._answer
        keep = self._end != -1 and headers.get(b"connection", b"").lower() != b"close"
        if keep:
            self.good_until = time.monotonic() + _idle_seconds(headers.get(b"keep-alive", b""))
        self.reusable = keep
        self._answer = None
        self._data.clear()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(Answer(status, headers, body))

    def _fail(self, error: ConnectionLost) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)


def _head(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = head.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise ValueError(_BROKEN)
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    if version == b"HTTP/1.0":
        headers[b"connection"] = b"close"
    return int(rest[:3]), headers


def _length(status: int, headers: dict[bytes, bytes]) -> int:
    """Bytes in the body; -2 when it is chunked, -1 when it lasts as long as the connection (RFC 9112, 6.3)."""
    if status in (204, 304):
        return 0
    if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
        return -2
    length = headers.get(b"content-length")
    if length is None:
        return -1
    if not length.isdigit() or len(length) > 18:
        raise ValueError(_BROKEN)
    return int(length)


def _unchunk(data: bytearray) -> bytes | None:
    """The body of a chunked answer (RFC 9112, 7.1); None as long as it is not whole."""
    if not data.endswith(b"\r\n\r\n"):
        return None
    parts: list[bytes] = []
    at = 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        digits = bytes(data[at:end]).partition(b";")[0].strip()
        if not _HEX.fullmatch(digits):
            raise ValueError(_BROKEN)
        size = int(digits, 16)
        if size == 0:
            return b"".join(parts)
        parts.append(bytes(data[end + 2 : end + 2 + size]))
        at = end + 2 + size + 2
        if at > len(data):
            return None


def _idle_seconds(keep_alive: bytes) -> float:
    """Seconds from a `Keep-Alive: timeout=N` header, less one for the way; `_IDLE` without it."""
    for part in keep_alive.split(b","):
        name, _, value = part.strip().partition(b"=")
        if name == b"timeout" and value.isdigit():
            return max(0.0, min(float(value[:6]), 600.0) - 1.0)
    return _IDLE
