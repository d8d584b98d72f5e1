"""The operator plane: an ordinary MCP server whose tools open, drive, score and close episodes."""

from __future__ import annotations

import base64
import logging
import math
import time
from collections.abc import Callable
from typing import Annotated, Any, Final

import mcp_types as types
import orjson
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from pydantic import Field

from gym_mcp.datasets import as_row, parse_task
from gym_mcp.direct import describe
from gym_mcp.episode import Episode
from gym_mcp.errors import ToolError, UsageError
from gym_mcp.seeds import episode_seed
from gym_mcp.server import wire
from gym_mcp.server.service import Service
from gym_mcp.server.wire import EXTENSION, STRUCTURED_ONLY, VERSION, failure
from gym_mcp.tools import tool, tools_of
from gym_mcp.types import GroupRollout, JSONObject, Reward, Task, Transcript
from gym_mcp.verdict import verify_group

Context = ServerRequestContext[Any, Any]
log = logging.getLogger(__name__)
MAX_PAGE: Final = 1_000
Handle = Annotated[str, Field(min_length=1, max_length=256, description="The handle that `open_episode` gave.")]
Key = Annotated[str, Field(min_length=1, max_length=512)]


class Request:
    """What the operator plane's tools may know of the request that called them. Off HTTP: nothing."""

    def agent_url(self, handle: str) -> str | None:
        """The address of an episode's agent plane."""
        return None

    def workers(self) -> list[str]:
        """The operator planes of all processes that serve the environment."""
        return []

    async def wanted(self) -> bool:
        """Whether the client still waits for the answer."""
        return True


class Operator:
    """The operator plane's tools, for one request."""

    __slots__ = ("_request", "_service")

    def __init__(self, service: Service, request: Request) -> None:
        self._service = service
        self._request = request

    @tool(name="describe", read_only=True)
    async def describe(self) -> wire.Described:
        """Say what this environment is: tools, interaction, reward range, content hashes, what it holds."""
        try:
            count = len(self._service.tasks())
        except UsageError:
            count = None
        about = describe(self._service.environment_type, num_tasks=count)
        low, high = (None if math.isinf(bound) else bound for bound in about.reward_range)
        return {
            "name": about.name,
            "version": about.version,
            "summary": about.summary,
            "interaction": about.interaction,
            "reward_range": (low, high),
            "higher_is_better": about.higher_is_better,
            "floor": about.floor,
            "has_solution": about.has_solution,
            "groups": about.groups,
            "num_tasks": count,
            "max_live": self._service.max_live,
            "workers": self._request.workers(),
            "tools": about.tools,  # type: ignore[typeddict-item]
            "identity": dict(about.identity),
        }

    @tool(read_only=True)
    async def list_tasks(
        self, offset: Annotated[int, Field(ge=0)] = 0, limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 100
    ) -> wire.TaskPage:
        """List the environment's tasks as rows, in order. Rows hold what an agent must not see."""
        tasks = list(self._service.tasks().values())
        end = min(offset + limit, len(tasks))
        rows = [as_row(task) for task in tasks[offset:end]]
        return {"tasks": rows, "total": len(tasks), "next": end if end < len(tasks) else None}

    @tool
    async def open_episode(
        self,
        task_id: str | None = None,
        task: JSONObject | None = None,
        seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None,
        repeat: Annotated[int, Field(ge=0)] = 0,
        key: Key | None = None,
        ttl: Annotated[float, Field(gt=0)] | None = None,
        wait: Annotated[float, Field(ge=0)] = 0.0,
    ) -> wire.Opened:
        """Open an episode of one task and get its handle.

        Args:
            task_id: One of the environment's own tasks.
            task: A task row, in the place of `task_id`.
            seed: Seed of the episode's random numbers; derived from task and `repeat` by default.
            repeat: Which attempt at the task this is, counted from 0.
            key: Makes the call safe to repeat: the same key gives the same live episode.
            ttl: Seconds without a call after which the episode expires; the server may allow less.
            wait: Seconds to wait for room where the server is full; it may let you wait for less.
        """
        chosen = self._task("open_episode", task_id, task)
        used = episode_seed(0, chosen.id, repeat) if seed is None else seed
        episode = await self._service.store.open(
            chosen, used, key=key, ttl=ttl, wait=wait, wanted=self._request.wanted
        )
        cls = episode.environment_type
        return {
            "episode": episode.handle,
            "url": self._request.agent_url(episode.handle),
            "prompt": list(episode.task.prompt),
            "params": dict(episode.task.params),
            "multi_turn": cls.has("reply"),
            "tools_digest": self._service.tools_digest(episode.tools),
            "expires_in": round(max(0.0, episode.expires - time.monotonic()), 3),
            "call_timeout": cls.call_timeout,
        }

    @tool(read_only=True)
    async def list_tools(self, episode: Handle) -> wire.ToolList:
        """List the tools that the agent of this episode has."""
        live = self._live(episode)
        live.seen = True
        tools: list[wire.ToolInfo] = [
            {
                "name": t.name,
                "description": t.spec.description,
                "inputSchema": t.spec.input_schema,
                "readOnly": t.spec.read_only,
            }
            for t in live.tools.values()
        ]
        return {"tools": tools, "tools_digest": self._service.tools_digest(live.tools)}

    @tool
    async def call_tool(self, episode: Handle, name: str, arguments: JSONObject, caller: str = "") -> wire.Called:
        """Relay an agent's tool call, for agents that cannot reach the agent plane themselves.

        Args:
            episode: The handle that `open_episode` gave.
            name: The tool's name.
            arguments: The tool's arguments.
            caller: The agent's own name for the part of it that calls, for the ledger.
        """
        live = self._live(episode)
        try:
            result = await live.call(name, arguments, caller)
        finally:
            self._service.record(live)
        images: list[wire.ImageInfo] = [
            {"data": base64.b64encode(i.data).decode(), "media_type": i.media_type} for i in result.images
        ]
        return {"text": result.text, "is_error": result.is_error, "images": images, "ended": result.ended}

    @tool
    async def reply(self, episode: Handle, message: str) -> wire.Replied:
        """Tell the episode's user what the agent said; get their next message, or null at the end."""
        return {"message": await self._live(episode).reply(message)}

    @tool
    async def verify_episode(
        self,
        episode: Handle,
        items: list[JSONObject] | None = None,
        stop: str = "completed",
        close: bool = True,
    ) -> wire.Verified:
        """Freeze the episode and score it. Asking again gives the same verdict.

        Args:
            items: What the agent produced: Responses output items, in order.
            stop: Why it stopped: completed, ended, max_turns, max_tokens or max_cost.
            close: Whether to close the episode, whatever the outcome.
        """
        store = self._service.store
        known = store.finished(episode) or self._live(episode)
        try:
            reward = await known.verify(Transcript(items or [], stop))
        finally:
            if close:
                await store.close(episode)
        verdict: wire.Verified = {
            "reward": reward.score,
            "components": reward.components,
            "notes": reward.notes,
            "ledger": _ledger(known),
        }
        if reward.answer is not None:
            verdict["answer"] = reward.answer
        if known.judge_usage:
            verdict["judge_usage"] = known.judge_usage
        return verdict

    @tool(read_only=True)
    async def verify_group(
        self,
        rollouts: Annotated[list[wire.Member], Field(min_length=1)],
        task_id: str | None = None,
        task: JSONObject | None = None,
    ) -> wire.GroupVerified:
        """Score all rollouts of one task together, for an environment that `describe` says scores `groups`.

        Args:
            rollouts: Each with its `repeat` and `items`, and what `verify_episode` said of it.
            task_id: One of the environment's own tasks.
            task: A task row, in the place of `task_id`.
        """
        cls = self._service.environment_type
        if not cls.has("verify_group"):
            raise UsageError(f"verify_group: {cls.name} scores each rollout alone")
        members = [
            GroupRollout(
                m["repeat"],
                Transcript(m["items"], m.get("stop", "completed")),
                Reward(m.get("reward", cls.floor), m.get("components", {}), m.get("notes", ""), m.get("answer")),
                m.get("ledger", []),
            )
            for m in rollouts
        ]
        verdict = await verify_group(cls, self._task("verify_group", task_id, task), members)
        scored: list[wire.Scored] = [
            {
                "reward": r.score,
                "components": r.components,
                "notes": r.notes,
                **({} if r.answer is None else {"answer": r.answer}),  # type: ignore[typeddict-item]
            }
            for r in verdict.rewards
        ]
        return {"rewards": scored, **({"judge_usage": verdict.judge_usage} if verdict.judge_usage else {})}  # type: ignore[typeddict-item]

    @tool(read_only=True)
    async def episode_state(self, episode: Handle) -> wire.State:
        """Show the environment's state. It may hold what an agent must not see."""
        return {"state": await self._live(episode).state()}

    @tool(read_only=True)
    async def episode_ledger(self, episode: Handle) -> wire.Ledger:
        """Show the server's record of every tool call; also of an episode closed not long ago."""
        return {"ledger": _ledger(self._service.store.finished(episode) or self._live(episode))}

    @tool
    async def reference_solution(
        self, episode: Handle, step: Annotated[int, Field(ge=0)], results: list[str] | None = None
    ) -> wire.SolutionStep:
        """Give one step of the reference solution: calls to make in parallel, or what to say.

        Args:
            step: Counted from 0; ask for them in order.
            results: The texts that the calls of the step before brought back.
        """
        found = await self._live(episode).reference_step(step, results or [])
        calls: list[wire.CallInfo] = [{"name": c.name, "arguments": c.arguments} for c in found.calls]
        return {"calls": calls, "say": found.say, "done": found.done}

    @tool
    async def close_episode(self, episode: Handle) -> wire.Closed:
        """Close an episode. Closing one that is gone does nothing."""
        await self._service.store.close(episode)
        return {"closed": True}

    def _task(self, what: str, task_id: str | None, row: JSONObject | None) -> Task[Any]:
        if (task_id is None) == (row is None):
            raise UsageError(f"{what}: give one of `task_id` and `task`")
        if row is not None:
            return parse_task(self._service.environment_type, row, "task")
        return self._service.task(task_id or "")

    def _live(self, handle: str) -> Episode:
        return self._service.store.get(handle)


def _ledger(episode: Episode) -> list[wire.Entry]:
    return [entry.as_json() for entry in episode.ledger]  # type: ignore[misc]


_TOOLS: Final = tools_of(Operator)


def operator_server(
    service: Service, request_of: Callable[[Context], Request] = lambda ctx: Request()
) -> Server[Any]:
    """The operator plane of one environment type; `request_of(ctx)` says what came over HTTP."""
    cls = service.environment_type

    async def list_tools(ctx: Context, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=_LISTED)

    async def call_tool(ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        operator = Operator(service, request_of(ctx))
        lean = bool(ctx.meta and ctx.meta.get(STRUCTURED_ONLY))
        return await _call(operator, params.name, params.arguments or {}, lean)

    server: Server[Any] = _OperatorServer(
        f"{cls.name} (operator)",
        version=cls.version,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=lambda name: None,  # none mirrors its arguments in headers
    )
    server.extensions[EXTENSION] = extension(service)
    server.middleware.clear()
    return server


class _OperatorServer(Server[Any]):
    """Declares its extensions to clients of 2025 too, under `experimental`: their era has no other place."""

    def get_capabilities(self, *args: Any, **kwargs: Any) -> types.ServerCapabilities:
        found = super().get_capabilities(*args, **kwargs)
        return found.model_copy(update={"experimental": self.extensions})


def extension(service: Service) -> JSONObject:
    """What the server's capabilities say of the environment."""
    cls = service.environment_type
    return {
        "version": VERSION,
        "environment": cls.name,
        "interaction": cls.interaction(),
        "reward_range": [None if math.isinf(bound) else bound for bound in cls.reward_range],
        "higher_is_better": cls.higher_is_better,
        "has_solution": cls.has("solution"),
    }


async def _call(operator: Operator, name: str, arguments: JSONObject, lean: bool) -> types.CallToolResult:
    found = _TOOLS.get(name)
    try:
        if found is None:
            raise UsageError(f"no operator tool `{name}`; there are {', '.join(_TOOLS)}")
        value = await found.invoke(operator, found.validate(arguments))
    except ToolError as e:
        return _result({"error": failure(UsageError(str(e)))}, lean, is_error=True)
    except Exception as e:
        error = failure(e)
        if error["message"].startswith("the server failed"):
            log.exception("operator tool %s", name)
        return _result({"error": error}, lean, is_error=True)
    return _result(value, lean)


def _result(value: Any, lean: bool, *, is_error: bool = False) -> types.CallToolResult:
    content: list[types.ContentBlock] = [] if lean else [types.TextContent(text=_json(value))]
    return types.CallToolResult(content=content, structured_content=value, is_error=is_error)


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # integers past 64 bits
        import json

        return json.dumps(value)


_LISTED: Final = [
    types.Tool(
        name=t.name,
        description=t.spec.description,
        input_schema=t.spec.input_schema,
        output_schema=t.output_schema,
        annotations=types.ToolAnnotations(
            read_only_hint=t.spec.read_only, destructive_hint=False, open_world_hint=False
        ),
    )
    for t in _TOOLS.values()
]
