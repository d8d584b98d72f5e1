"""A third-party MCP server as a child process: its streams, whatever it prints on them, and its certain end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from gym_mcp.errors import EnvironmentFailure

MAX_LINE: Final = 32 * 1024 * 1024
"""Bytes of one message of the server; a longer one ends the connection."""
_STDERR_TAIL: Final = 4_096
_GRACE: Final = 1.0
"""Seconds that a server has to leave by itself once its input is closed."""
_PATIENCE: Final = 5.0
Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]
log = logging.getLogger(__name__)


class ServerProcess:
    """One server and all that it starts: a process group, gone when `stop` returns."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._stderr = b""
        self._listening = asyncio.create_task(self._drain_stderr())
        self.noise = 0
        """Lines on the server's output that were no messages."""

    @classmethod
    async def start(cls, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> ServerProcess:
        """Start it; `EnvironmentFailure` where there is no such program."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=cwd,
                env=dict(env),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                limit=MAX_LINE,
            )
        except (OSError, ValueError) as e:
            reason = getattr(e, "strerror", None) or e
            raise EnvironmentFailure(f"the MCP server `{command[0]}` cannot be started: {reason}") from None
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def complaint(self) -> str:
        """How it ended and the last line that it printed on stderr, in one line."""
        with contextlib.suppress(TimeoutError):  # its output ends a moment before the process does
            await asyncio.wait_for(self._gone(), 0.2)
        code = self._process.returncode
        state = "runs on" if code is None else f"ended with code {code}"
        lines = self._stderr.decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"its process {state}{f': {last[:300]}' if last else ''}"

    async def _drain_stderr(self) -> None:
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(65_536):
            self._stderr = (self._stderr + chunk)[-_STDERR_TAIL:]

    @contextlib.asynccontextmanager
    async def transport(self) -> AsyncIterator[Streams]:
        """The SDK's streams over the process's pipes. The read stream ends when the server's output does."""
        heard, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        write, said = anyio.create_memory_object_stream[SessionMessage](0)

        async def listen() -> None:
            async with heard:
                with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                    async for message in self._messages():
                        await heard.send(message)

        async def speak() -> None:
            assert self._process.stdin is not None
            async with said:
                with contextlib.suppress(OSError):  # it has gone: `listen` notices
                    async for message in said:
                        text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                        self._process.stdin.write(text.encode() + b"\n")
                        await self._process.stdin.drain()

        async with anyio.create_task_group() as tasks, read, write:
            tasks.start_soon(listen)
            tasks.start_soon(speak)
            yield read, write
            tasks.cancel_scope.cancel()

    async def _messages(self) -> AsyncIterator[SessionMessage]:
        assert self._process.stdout is not None
        while True:
            try:
                line = await self._process.stdout.readline()
            except ValueError:
                log.warning("an MCP server sent a message of more than %d bytes", MAX_LINE)
                return
            if not line:
                return
            try:
                message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:  # many print a greeting where only messages belong
                self.noise += bool(line.strip())
                continue
            yield SessionMessage(message)

    async def stop(self) -> None:
        """End it: its input first, then the whole group, whether or not the server itself has left."""
        process = self._process
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone(), _GRACE)
        self.kill()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _PATIENCE)
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        process._transport.close()  # type: ignore[attr-defined]  # a stray child may hold its pipes open

    async def _gone(self) -> None:
        while self._process.returncode is None:  # noqa: ASYNC110 - `wait` waits for held pipes too
            await asyncio.sleep(0.005)

    def kill(self) -> None:
        """Kill the group at once; safe to call when it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
