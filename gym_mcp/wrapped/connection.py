"""One live connection to a wrapped server: the process, the SDK's client over it, and the task that owns both."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import mcp_types as types
from mcp import Client
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter, ValidationError

from gym_mcp.errors import EnvironmentFailure, ToolError
from gym_mcp.types import JSONObject
from gym_mcp.wrapped.process import ServerProcess

_PAGES: Final = 100
_RESULT: Final[TypeAdapter[Any]] = TypeAdapter(types.CallToolResult | types.InputRequiredResult)
_starting: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()


def _slot() -> asyncio.Semaphore:
    """Servers that start at a time in one loop: starting is all CPU, and a crowd would run out of time."""
    loop = asyncio.get_running_loop()
    return _starting.setdefault(loop, asyncio.Semaphore(max(2, os.cpu_count() or 1)))


class Connection:
    """A started server. The SDK's client must be entered and left in one task, so a task of ours owns it."""

    def __init__(self, process: ServerProcess, era: str) -> None:
        self.process = process
        self.tools: list[types.Tool] = []
        self.server: JSONObject = {}
        self._era = era
        self._client: Client | None = None
        self._stop = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], era: str, seconds: float
    ) -> Connection:
        """Start `command` and shake hands, within `seconds`. Raises `EnvironmentFailure`; nothing is left then."""
        async with _slot():
            connection = cls(await ServerProcess.start(command, cwd=cwd, env=env), era)
            try:
                async with asyncio.timeout(seconds):
                    await connection._begin()
            except BaseException as e:
                complaint = await connection.process.complaint()
                connection.process.kill()  # it has had its time
                await connection.close()
                if isinstance(e, TimeoutError):
                    raise EnvironmentFailure(
                        f"the MCP server did not answer in {seconds:g} s; {complaint}"
                    ) from None
                if isinstance(e, Exception):
                    raise EnvironmentFailure(f"the MCP server did not start: {_why(e)}; {complaint}") from None
                raise
        return connection

    def __deepcopy__(self, memo: object) -> Connection:
        raise TypeError("a server process cannot be copied")

    async def _begin(self) -> None:
        ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._own(ready))
        self._client = await ready
        info = self._client.server_info
        about = {} if info is None else {"name": info.name, "version": info.version}
        self.server = {**about, "protocol": self._client.protocol_version}
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await self._client.list_tools(cursor=cursor)
            self.tools += page.tools
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _own(self, ready: asyncio.Future[Client]) -> None:
        """No callback is given: sampling, elicitation and roots are not declared, and refused when asked for."""
        try:
            async with Client(self.process.transport(), mode=self._era, cache=None) as client:
                if not ready.done():
                    ready.set_result(client)
                await self._stop.wait()
        except Exception as e:
            if not ready.done():
                ready.set_exception(e)

    async def call(self, name: str, arguments: JSONObject, seconds: float) -> types.CallToolResult:
        """The server's result as it gave it: structured content is not checked, nobody will see it.

        Raises `ToolError` for a refusal of the server, `EnvironmentFailure` when it crashed or answered nonsense.
        """
        assert self._client is not None
        request = types.CallToolRequest(params=types.CallToolRequestParams(name=name, arguments=arguments))
        try:
            result = await self._client.session.send_request(
                request, _RESULT, request_read_timeout_seconds=seconds
            )
        except MCPError as e:
            if e.code == types.CONNECTION_CLOSED:
                why = await self.process.complaint()
                raise EnvironmentFailure(f"the MCP server broke off at `{name}`; {why}", retryable=True) from None
            raise ToolError(str(e)) from None
        except ValidationError:
            raise EnvironmentFailure(f"the MCP server's answer to `{name}` is no tool result") from None
        if isinstance(result, types.InputRequiredResult):
            raise ToolError("The tool asks the client for input, which there is none of here.")
        found: types.CallToolResult = result
        return found

    async def close(self) -> None:
        """End the client and the process group, whatever state they are in."""
        self._stop.set()
        try:
            await self.process.stop()
        finally:
            if self._owner is not None:
                done, _ = await asyncio.wait([self._owner], timeout=2.0)
                if not done:
                    self._owner.cancel()
                    await asyncio.wait([self._owner], timeout=2.0)


def _why(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = " ".join(str(error).split())[:300]
    return text or type(error).__name__
