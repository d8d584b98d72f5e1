"""The SDK's rungs: an environment behind MCP in this process, or in a child process over stdio."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final

from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED

from gym_mcp.environment import Environment
from gym_mcp.episode import FINISHED
from gym_mcp.errors import EnvironmentFailure, EpisodeGone
from gym_mcp.http import PROTOCOL, relay, relayed, tool_result
from gym_mcp.remote import RemoteClient, structured, tool_specs
from gym_mcp.server.agent import agent_server
from gym_mcp.server.operator import operator_server
from gym_mcp.server.service import Service
from gym_mcp.server.wire import CALLER, STRUCTURED_ONLY
from gym_mcp.store import EpisodeStore
from gym_mcp.tools import storable
from gym_mcp.types import JSONObject, ToolResult, ToolSpec

START_TIMEOUT: Final = 60.0
"""Seconds for a server to start and answer."""
_READ_TIMEOUT: Final = 3_600.0
_handle: ContextVar[str] = ContextVar("episode")


class SDKClient(RemoteClient):
    """An environment that the SDK's client reaches.

    An SDK client must be entered and left in one task, so a task of ours owns it; calls come from any task.
    """

    def __init__(self) -> None:
        super().__init__()
        self._owner: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._starting = asyncio.Lock()
        self._operator: Client | None = None

    @abstractmethod
    def _connect(self) -> AbstractAsyncContextManager[Client]:
        """Enter the client of the operator plane."""

    async def operate(
        self, tool: str, arguments: JSONObject, *, repeatable: bool = False, opened: JSONObject | None = None
    ) -> JSONObject:
        operator = await self._start()
        try:
            return structured(await _call(operator, tool, storable(arguments), meta={STRUCTURED_ONLY: True}))
        except _Lost:
            if self._operator is operator:  # the next call starts a new server; what this one held is gone
                await self.aclose()
            raise

    async def _start(self) -> Client:
        async with self._starting:
            if self._operator is None:
                ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
                self._stop = asyncio.Event()
                self._owner = asyncio.create_task(self._own(ready, self._stop))
                self._operator = await ready
            return self._operator

    async def _own(self, ready: asyncio.Future[Client], stop: asyncio.Event) -> None:
        try:
            async with self._connect() as client:
                ready.set_result(client)
                await stop.wait()
        except Exception as e:
            if not ready.done():
                message = f"the environment's server did not start: {type(_first(e)).__name__}: {_first(e)}"
                ready.set_exception(EnvironmentFailure(message))

    async def aclose(self) -> None:
        owner, self._owner, self._operator = self._owner, None, None
        self._stop.set()
        if owner is not None:
            await owner


class MemoryClient(SDKClient):
    """Both planes of an environment class, as SDK servers and clients in this process."""

    def __init__(self, cls: type[Environment[Any]], *, store: EpisodeStore | None = None) -> None:
        super().__init__()
        self.service = Service(cls, store=store)
        self._agent: Client | None = None

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Client]:
        store = self.service.store
        operator = operator_server(self.service)
        agent = agent_server(self.service, lambda ctx: store.get(_handle.get()))
        async with (
            self.service.running(),
            Client(operator, mode=PROTOCOL) as client,
            Client(agent, mode=PROTOCOL, cache=None) as self._agent,
        ):
            yield client

    async def list_agent_tools(self, opened: JSONObject) -> Sequence[ToolSpec]:
        with self._plane(opened) as agent:
            listed = await agent.list_tools()
        return tool_specs([t.model_dump(by_alias=True, mode="json") for t in listed.tools])

    async def call_agent_tool(
        self, opened: JSONObject, name: str, arguments: JSONObject, caller: str
    ) -> ToolResult:
        try:
            self.service.store.get(opened["episode"])
        except EpisodeGone:  # what the HTTP gate says with a 404
            return ToolResult(FINISHED, is_error=True, ended=True)
        with self._plane(opened) as agent:
            meta = {CALLER: caller} if caller else None
            return tool_result(await _call(agent, storable(name), storable(arguments), meta=meta))

    @contextlib.contextmanager
    def _plane(self, opened: JSONObject) -> Any:
        assert self._agent is not None  # the episode was opened through it
        token = _handle.set(opened["episode"])
        try:
            yield self._agent
        finally:
            _handle.reset(token)


class StdioClient(SDKClient):
    """An environment served by a child process over stdio; the operator plane relays the agent's calls.

    `command`: what starts it, such as `["gym-mcp", "serve", "counter.py", "--stdio", "--operator"]`.
    """

    def __init__(self, command: Sequence[str], *, env: dict[str, str] | None = None) -> None:
        super().__init__()
        self._parameters = StdioServerParameters(command=command[0], args=list(command[1:]), env=env)

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Client]:
        async with asyncio.timeout(START_TIMEOUT) as starting:
            async with Client(self._parameters, mode=PROTOCOL) as client:
                await client.list_tools()
                starting.reschedule(None)
                yield client

    async def list_agent_tools(self, opened: JSONObject) -> Sequence[ToolSpec]:
        got = await self.operate("list_tools", {"episode": opened["episode"]})
        return tool_specs(got["tools"])

    async def call_agent_tool(
        self, opened: JSONObject, name: str, arguments: JSONObject, caller: str
    ) -> ToolResult:
        try:
            return relayed(await self.operate("call_tool", relay(opened, name, arguments, caller)))
        except EpisodeGone:
            return ToolResult(FINISHED, is_error=True, ended=True)


class _Lost(EnvironmentFailure):
    """The connection is of no use any more."""


async def _call(client: Client, name: str, arguments: JSONObject, meta: Any = None) -> JSONObject:
    try:
        result = await client.call_tool(name, arguments, read_timeout_seconds=_READ_TIMEOUT, meta=meta)
    except MCPError as e:
        if e.code == CONNECTION_CLOSED:
            raise _Lost("the environment's server closed the connection", retryable=True) from None
        raise EnvironmentFailure(f"the server refused the request: {e}") from None
    except Exception as e:
        raise _Lost(f"the connection was lost: {type(e).__name__}: {e}", retryable=True) from None
    dumped: JSONObject = result.model_dump(by_alias=True, exclude_none=True)
    if result.structured_content is not None:
        dumped["structuredContent"] = result.structured_content
    return dumped


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
