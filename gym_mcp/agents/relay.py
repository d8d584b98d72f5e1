"""Serves the agent plane of any session, on any rung of the ladder, to an agent in a process of its own.

The agent gets a loopback URL that is good for one rollout, never the environment's own address. What it does there
is noted: that it looked at the tools, each call and the id that the agent gave it, and what failed underneath.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Scope

from gym_mcp.client import AgentSession
from gym_mcp.episode import FINISHED
from gym_mcp.errors import EnvironmentFailure, HarnessError, RolloutError
from gym_mcp.server import gate
from gym_mcp.server.agent import LIST_TTL_MS, as_mcp, as_mcp_tool, prompt_list, task_prompt
from gym_mcp.server.app import AgentManagers, GatedApp
from gym_mcp.server.gate import Headers
from gym_mcp.server.run import listening
from gym_mcp.types import JSONObject, ToolResult, ToolSpec

SERVER: Final = "env"
"""What agents are told to call the server; it becomes part of the tools' names in most of them."""
MAX_RESULT_CHARS: Final = 400_000
_TOOL_META: Final = {
    "anthropic/maxResultSizeChars": MAX_RESULT_CHARS
}  # else Claude Code puts long results in files
_CALL_IDS: Final = ("claudecode/toolUseId", "callId")
_RELAYED: Final = "gym_mcp.relayed"
_START_SECONDS: Final = 20.0
_BROKEN: Final = "The environment failed. This episode is over."
Context = ServerRequestContext[Any, Any]


@dataclass(slots=True)
class RelayedCall:
    """One call through the relay. `call_id` is the model's own where the agent passes it on.

    `start` and `end` are seconds since the relaying began.
    """

    name: str
    arguments: JSONObject
    call_id: str | None
    start: float
    end: float | None = None
    result: ToolResult | None = None


@dataclass(slots=True)
class Relayed:
    """One session that is being relayed.

    `seen`: whether the agent asked for the tools. `ended`: whether the environment takes no more calls. `failed`
    is set with `error` once the environment has failed.
    """

    session: AgentSession
    tools: Sequence[ToolSpec]
    url: str
    parses_text: bool = False
    calls: list[RelayedCall] = field(default_factory=list)
    seen: bool = False
    ended: bool = False
    closed: bool = False
    error: RolloutError | None = None
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    _started: float = field(default_factory=time.monotonic)

    async def call(self, name: str, arguments: JSONObject, call_id: str | None) -> ToolResult:
        """Pass a call on; refused with a text once the episode is over."""
        if self.closed or self.ended:
            return ToolResult(FINISHED, is_error=True, ended=True)
        if self.error is not None:
            return ToolResult(_BROKEN, is_error=True, ended=True)
        call = RelayedCall(name, arguments, call_id, self._now())
        self.calls.append(call)
        try:
            call.result = await self.session.call(name, arguments)
        except RolloutError as e:
            self._fail(e)
            call.result = ToolResult(_BROKEN, is_error=True, ended=True)
        except Exception as e:
            self._fail(EnvironmentFailure(f"the call of {name} failed: {type(e).__name__}"))
            call.result = ToolResult(_BROKEN, is_error=True, ended=True)
        finally:
            call.end = self._now()
        self.ended = self.ended or (call.result.ended and self.error is None)
        return call.result

    def _fail(self, error: RolloutError) -> None:
        self.error = self.error or error
        self.failed.set()

    def _now(self) -> float:
        return round(time.monotonic() - self._started, 6)


class Relay(GatedApp):
    """A loopback listener for any number of sessions at a time, each under a secret path."""

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[str, Relayed] = {}
        self._managers = AgentManagers(_server())
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._origin = ""

    async def start(self) -> None:
        """Begin to listen. The listener has a task of its own: whoever starts it may be cancelled."""
        up = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._serve(up))
        waiting = asyncio.ensure_future(up.wait())
        await asyncio.wait([self._task, waiting], timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._task.done():
            await self._task
        if not up.is_set():
            raise HarnessError("the relay could not listen on 127.0.0.1")

    async def _serve(self, up: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._managers.streaming.run())
            await stack.enter_async_context(self._managers.plain.run())
            self._origin = await stack.enter_async_context(listening(self))
            up.set()
            await self._stop.wait()

    async def aclose(self) -> None:
        """Stop listening; calls in flight are cut off."""
        for relayed in self._open.values():
            relayed.closed = True
        self._stop.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_START_SECONDS)

    @asynccontextmanager
    async def open(self, session: AgentSession, *, parses_text: bool = False) -> AsyncIterator[Relayed]:
        """Relay `session` meanwhile. Its tools are fetched first, so that an agent is answered at once.

        `parses_text`: the client makes structured content of a text that happens to be JSON, and then refuses what
        is no object. It leaves results alone that have some: they get an empty one, which it does not show.
        """
        secret = secrets.token_urlsafe(24)
        tools = list(await session.list_tools())
        relayed = Relayed(session, tools, f"{self._origin}/{secret}/mcp", parses_text)
        self._open[secret] = relayed
        try:
            yield relayed
        finally:
            relayed.closed = True
            del self._open[secret]

    def admit(self, scope: Scope, headers: Headers) -> StreamableHTTPSessionManager:
        secret, slash, rest = scope["raw_path"].decode("latin-1")[1:].partition("/")
        relayed = self._open.get(secret)
        if relayed is None or not slash or rest != "mcp":
            raise gate.not_found()
        scope[_RELAYED] = relayed
        return self._managers.answering(headers)


def _server() -> Server[Any]:
    hint = CacheHint(ttl_ms=LIST_TTL_MS, scope="private")
    server: Server[Any] = Server(
        SERVER,
        version="1",
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
        on_list_prompts=_list_prompts,
        on_get_prompt=_get_prompt,
        get_tool_input_schema=lambda name: None,
        cache_hints={"tools/list": hint, "prompts/list": hint, "server/discover": hint},
    )
    server.middleware.clear()  # OpenTelemetry, on by default
    return server


def _relayed(ctx: Any) -> Relayed:
    relayed: Relayed = ctx.request.scope[_RELAYED]
    return relayed


async def _list_tools(ctx: Context, params: Any) -> types.ListToolsResult:
    relayed = _relayed(ctx)
    relayed.seen = True
    return types.ListToolsResult(tools=[as_mcp_tool(spec, _TOOL_META) for spec in relayed.tools])


async def _call_tool(ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
    relayed = _relayed(ctx)
    result = as_mcp(await relayed.call(params.name, params.arguments or {}, _call_id(params)))
    if relayed.parses_text:
        result.structured_content = {}
    return result


async def _list_prompts(ctx: Context, params: Any) -> types.ListPromptsResult:
    return prompt_list()


async def _get_prompt(ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    return task_prompt(params.name, _relayed(ctx).session.prompt)


def _call_id(params: types.CallToolRequestParams) -> str | None:
    """The id of the model's tool call, where the agent hands it on."""
    meta = params.model_dump(by_alias=True, include={"meta"}).get("_meta") or {}
    with contextlib.suppress(StopIteration):
        return next(str(meta[key]) for key in _CALL_IDS if meta.get(key))
    return None
