"""Messages between a run and one of its worker processes: a line of JSON each, over a socket pair."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Final

import orjson

from gym_mcp.types import JSONObject

_LONGEST: Final = 1 << 30
"""Bytes of a message: one may carry the rows of a group that waits."""


class Channel:
    """One end. Messages of one turn of the loop leave together."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._pending: list[bytes] = []

    @classmethod
    async def over(cls, sock: socket.socket) -> Channel:
        """The end of a connected socket."""
        return cls(*await asyncio.open_connection(sock=sock, limit=_LONGEST))

    def send(self, message: JSONObject, *lines: bytes) -> None:
        """Put a message on its way, and `lines` after it. A peer that is gone gets nothing: reading shows that."""
        if not self._pending:
            asyncio.get_running_loop().call_soon(self.flush)
        self._pending.append(orjson.dumps(message, default=str, option=orjson.OPT_APPEND_NEWLINE))
        self._pending += lines

    def flush(self) -> None:
        if self._pending and not self._writer.is_closing():
            self._writer.write(b"".join(self._pending))
        self._pending.clear()

    async def sent(self) -> None:
        """Wait until all messages have left this process: whatever becomes of it, the peer gets them."""
        self._writer.transport.set_write_buffer_limits(0)  # so that `drain` waits for the last byte
        self.flush()
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def messages(self) -> AsyncIterator[JSONObject]:
        """What the peer sends, until it closes or dies."""
        while True:
            try:
                line = await self._reader.readline()
            except (OSError, ValueError):
                return
            if not line.endswith(b"\n"):  # the peer died in the middle of it
                return
            yield orjson.loads(line)

    async def aclose(self) -> None:
        """Send what is pending and close."""
        self.flush()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
