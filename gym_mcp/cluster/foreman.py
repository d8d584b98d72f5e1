"""The actor on a node: it holds one worker process, hands on what it and the run tell each other, and no more.

The rollouts are in a process of its own, so that one that kills its process is told from a node that is lost.
The class is sent as it is here: it must work where another version is installed, or none, to say so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from typing import Any

import orjson

QUIET = 10.0
"""Seconds after which `tell` answers with nothing, as a sign of life."""
_GATHER = 0.02
_CHUNK, _FULL = 1 << 18, 32 << 20


class Foreman:
    """One worker process of a run, and then another. All methods are called by the run."""

    def __init__(self) -> None:
        self._process: Any = None
        self._writer: Any = None
        self._folder: Any = None
        self._clear()

    def _clear(self) -> None:
        self._heard: list[bytes] = []
        self._held = 0
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._over = False

    async def begin(self, version: str, setup: bytes, keys: dict[str, str], parcel: bytes) -> dict[str, str]:
        """Start the process; `where` this is, or what `error` prevents it. `keys` go to its environment."""
        where = _address()
        self._clear()
        try:
            import gym_mcp
            from gym_mcp.cluster.parcel import unpack
            from gym_mcp.crew.process import WorkerProcess
        except ImportError as e:
            return {"where": where, "error": f"gym-mcp {version} is needed there, in Ray's Python: {e}"}
        if gym_mcp.__version__ != version:
            return {"where": where, "error": f"gym-mcp {gym_mcp.__version__} is there, {version} is here"}
        try:
            if parcel and self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="gym-mcp-", ignore_cleanup_errors=True)
            folder = self._folder.name if parcel else ""
            hello = {**unpack(parcel, folder, orjson.loads(setup)), "where": where}
            self._process = WorkerProcess(module=hello["module"])
        except OSError as e:
            return {"where": where, "error": f"no worker process can be started there: {e}"}
        reader, self._writer = await asyncio.open_connection(sock=self._process.socket)
        self._writer.write(orjson.dumps({**hello, "keys": keys}) + b"\n")
        self._listener = asyncio.create_task(self._listen(reader))
        return {"where": where, "actor": str(os.getpid())}

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                self._heard.append(chunk)
                self._held += len(chunk)
                self._news.set()
                if self._held > _FULL:
                    self._room.clear()
                    await self._room.wait()
        self._over = True
        self._news.set()

    async def take(self, messages: bytes) -> None:
        """Hand messages to the process. One that is gone gets nothing."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(messages)

    async def tell(self) -> tuple[bytes, int | None]:
        """What the process said since, and its exit status once it has ended and all is told."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET):
                await self._news.wait()
        if not self._over:
            await asyncio.sleep(_GATHER)
        said = b"".join(self._heard)
        self._heard, self._held = [], 0
        self._room.set()
        if not self._over:
            self._news.clear()
            return said, None
        status = await self._process.ended()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        return said, status


def _address() -> str:
    """Of this node, as the cluster knows it."""
    import ray

    util: Any = ray.util
    return str(util.get_node_ip_address())
