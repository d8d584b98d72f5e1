"""How the owner's commands talk to a background server: one JSON line each way over its Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import orjson

from gym_mcp.connect.state import Home
from gym_mcp.errors import GymError, UsageError
from gym_mcp.types import JSONObject

LIMIT: Final = 1 << 20
"""Bytes of a request or an answer."""
ANSWER_SECONDS: Final = 120.0
"""An episode may take its whole `call_timeout` to open."""
log = logging.getLogger(__name__)
Handler = Callable[[JSONObject], Awaitable[JSONObject]]


class Unreachable(GymError):
    """No server answers at the socket."""


class Refusal(GymError):
    """The server could not do what was asked, and why."""


def ask(home: Home, do: str, **arguments: Any) -> JSONObject:
    """The server's answer to one request.

    Raises `Unreachable`, `UsageError` for the user's mistake and `Refusal` for any other failure.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(home.socket))
            connection.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline(LIMIT)
    except OSError as e:
        raise Unreachable(f"the server of {home.path.name} does not answer: {e}") from None
    if not line.endswith(b"\n"):
        raise Unreachable(f"the server of {home.path.name} ended before it answered; see {home.log_file}")
    answer: JSONObject = orjson.loads(line)
    if "error" in answer:
        raise (UsageError if answer.get("usage") else Refusal)(answer["error"])
    return answer


@contextlib.asynccontextmanager
async def answering(home: Home, handle: Handler) -> AsyncIterator[None]:
    """Answer the owner's commands meanwhile."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                line = await reader.readline()
                writer.write(orjson.dumps(await _answer(handle, line), default=str) + b"\n")
                await writer.drain()
        writer.close()

    path = home.socket
    path.unlink(missing_ok=True)  # left by a server that was killed: the folder's lock says that none is there
    before = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(serve, str(path), limit=LIMIT)
    finally:
        os.umask(before)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def _answer(handle: Handler, line: bytes) -> JSONObject:
    try:
        return await handle(orjson.loads(line))
    except UsageError as e:
        return {"error": str(e), "usage": True}
    except GymError as e:
        return {"error": str(e)}
    except Exception as e:
        log.exception("a command failed")
        return {"error": f"the server failed: {type(e).__name__}: {e}"}
