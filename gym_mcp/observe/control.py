"""The control socket of a running evaluation: one JSON object a line each way, for the same user alone.

Nothing that a client does may disturb the run: lines, connections, and the time that either takes are bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import orjson

from gym_mcp.errors import GymError
from gym_mcp.observe.desk import Desk
from gym_mcp.observe.place import bind, register, socket_of
from gym_mcp.types import JSONObject

LINE: Final = 1 << 14
"""Bytes of a request."""
ANSWER: Final = 1 << 20
CONNECTIONS: Final = 16
IDLE: Final = 60.0
"""Seconds that a connection may say nothing."""
SLOW: Final = 5.0
"""Seconds that a client may take to read an answer."""
PAUSE: Final = 0.01
"""Seconds between two answers on one connection, so that a flood of requests costs the loop little."""
_PATIENCE: Final = 10.0


class NotRunning(GymError):
    """Nobody answers for the run. `gone`: no process listens; else one does, and does not answer."""

    def __init__(self, message: str, *, gone: bool) -> None:
        super().__init__(message)
        self.gone = gone


@contextlib.asynccontextmanager
async def controlled(desk: Desk, run_dir: Path) -> AsyncIterator[str | None]:
    """Answer at the run's socket meanwhile; gives why it cannot, if so. The run goes on without it."""
    files: list[Path] = []
    try:
        sock, files = bind(run_dir)
    except OSError as e:
        yield str(e)
        return
    served = _Served(desk)
    server = await asyncio.start_unix_server(served.serve, sock=sock, limit=LINE)
    files += register(run_dir)
    try:
        yield None
    finally:
        for file in files:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
        server.close()
        await served.aclose()


class _Served:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= CONNECTIONS or not _is_ours(writer):
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            await self._talk(reader, writer)
            writer.close()
        except (OSError, TimeoutError):
            writer.transport.abort()  # what a slow reader has not taken is dropped
        except asyncio.CancelledError:
            writer.transport.abort()  # the run is over; nobody awaits this task but `aclose`
        finally:
            self._tasks.discard(task)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            too_long = False
            try:
                async with asyncio.timeout(IDLE):
                    line = await reader.readline()
            except ValueError:
                line, too_long = b"\n", True
            if not line.endswith(b"\n"):
                return
            answer = {"error": f"a request has at most {LINE} bytes"} if too_long else self._answer(line)
            writer.write(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE, default=str))
            async with asyncio.timeout(SLOW):
                await writer.drain()
            if too_long:
                return
            await asyncio.sleep(PAUSE)

    def _answer(self, line: bytes) -> JSONObject:
        try:
            request = orjson.loads(line)
        except orjson.JSONDecodeError:
            return {"error": "a request is one line of JSON"}
        return self._desk.answer(request)

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _is_ours(writer: asyncio.StreamWriter) -> bool:
    """Whether the client runs as this user, where the system tells; the socket's mode says so everywhere."""
    if sys.platform != "linux":
        return True
    sock = writer.get_extra_info("socket")
    _, user, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user in (os.getuid(), 0)


def ask(run_dir: Path, request: JSONObject) -> JSONObject:
    """The answer of the run in `run_dir`; `NotRunning` when nobody answers."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect(str(socket_of(run_dir)))
            connection.sendall(orjson.dumps(request) + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline(ANSWER)
    except TimeoutError:
        raise NotRunning(f"{run_dir}: its process does not answer within {_PATIENCE:g} s", gone=False) from None
    except OSError as e:
        gone = isinstance(e, ConnectionError | FileNotFoundError)
        raise NotRunning(f"{run_dir}: {e.strerror or e}", gone=gone) from None
    if not line.endswith(b"\n"):
        raise NotRunning(f"{run_dir}: it ended before it answered", gone=True)
    try:
        answer: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict) or not answer.keys() & {"status", "done", "error"}:
        raise NotRunning(f"{run_dir}: what answers there is no run", gone=False)
    return answer
