"""What every rung over MCP shares: episodes driven by the operator plane's tools."""

from __future__ import annotations

import asyncio
import secrets
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from math import inf
from typing import Any, Final

from gym_mcp.client import AgentSession, Description, EnvironmentClient, EpisodeClient, GroupVerdict, Verdict
from gym_mcp.datasets import as_row
from gym_mcp.server.wire import raise_failure
from gym_mcp.solution import Step
from gym_mcp.types import Call, GroupRollout, JSONObject, Reward, Task, ToolResult, ToolSpec, Transcript

PAGE: Final = 500
_LISTS_KEPT: Final = 1_024
_MOST_WORKERS: Final = 256


class RemoteClient(EnvironmentClient):
    """An environment behind MCP. A rung says how a message travels; this class says which are sent."""

    def __init__(self) -> None:
        self._tools: OrderedDict[str, Sequence[ToolSpec]] = OrderedDict()
        self._listing: dict[str, asyncio.Lock] = {}
        self._may_wait = False

    @abstractmethod
    async def operate(
        self, tool: str, arguments: JSONObject, *, repeatable: bool = False, opened: JSONObject | None = None
    ) -> JSONObject:
        """Call an operator tool; its structured result. A `repeatable` call may be sent twice.

        `opened`: the episode that it is about, which knows where it lives.
        """

    @abstractmethod
    async def list_agent_tools(self, opened: JSONObject) -> Sequence[ToolSpec]:
        """The tools of an episode, as its agent plane lists them."""

    @abstractmethod
    async def call_agent_tool(
        self, opened: JSONObject, name: str, arguments: JSONObject, caller: str
    ) -> ToolResult:
        """One tool call of the agent. Never sent twice."""

    async def open(self, arguments: JSONObject) -> JSONObject:
        """Open an episode, wherever there is room for it."""
        return await self.operate("open_episode", arguments, repeatable=True)

    def ended(self, opened: JSONObject) -> None:
        """An episode takes no room any more. Said once or more."""
        return None

    async def tools_of(self, opened: JSONObject) -> Sequence[ToolSpec]:
        """The episode's tools; asked for once per digest."""
        digest = opened["tools_digest"]
        found = self._tools.get(digest)
        if found is not None:
            return found
        async with self._listing.setdefault(digest, asyncio.Lock()):
            found = self._tools.get(digest)
            if found is None:
                found = self._tools[digest] = await self.list_agent_tools(opened)
                if len(self._tools) > _LISTS_KEPT:
                    self._tools.popitem(last=False)
        self._listing.pop(digest, None)
        return found

    async def describe(self) -> Description:
        got = await self.operate("describe", {}, repeatable=True)
        low, high = got["reward_range"]
        room = got.get("max_live")
        room = room if isinstance(room, int) and room > 0 else None
        self._may_wait = room is not None  # servers of old refuse the argument
        return Description(
            name=got["name"],
            version=got["version"],
            summary=got["summary"],
            interaction=got["interaction"],
            reward_range=(-inf if low is None else low, inf if high is None else high),
            higher_is_better=got["higher_is_better"],
            floor=got["floor"],
            has_solution=got["has_solution"],
            num_tasks=got["num_tasks"],
            tools=got["tools"],
            identity=got["identity"],
            groups=got.get("groups", False),
            max_live=room,
            workers=[url for url in got.get("workers") or () if isinstance(url, str)][:_MOST_WORKERS],
        )

    async def tasks(self) -> AsyncIterator[JSONObject]:
        offset: int | None = 0
        while offset is not None:
            page = await self.operate("list_tasks", {"offset": offset, "limit": PAGE}, repeatable=True)
            for row in page["tasks"]:
                yield row
            offset = page["next"]

    async def open_episode(
        self, task: Task[Any], *, seed: int, key: str | None = None, wait: float = 0.0
    ) -> EpisodeClient:
        arguments = {"task": as_row(task), "seed": seed, "key": key or secrets.token_hex(12)}
        if wait and self._may_wait:
            arguments["wait"] = wait
        return RemoteEpisode(self, await self.open(arguments))

    async def verify_group(self, task: Task[Any], rollouts: Sequence[GroupRollout]) -> GroupVerdict:
        members = [
            {
                "repeat": r.repeat,
                "items": r.transcript.items,
                "stop": r.transcript.stop,
                "reward": r.reward.score,
                "components": r.reward.components,
                "notes": r.reward.notes,
                "ledger": list(r.ledger),
                **({} if r.reward.answer is None else {"answer": r.reward.answer}),
            }
            for r in rollouts
        ]
        arguments = {"task": as_row(task), "rollouts": members}
        got = await self.operate("verify_group", arguments, repeatable=True)
        rewards = [Reward(r["reward"], r["components"], r["notes"], r.get("answer")) for r in got["rewards"]]
        return GroupVerdict(rewards, got.get("judge_usage"))


class RemoteSession(AgentSession):
    """The agent plane of an episode behind MCP."""

    __slots__ = ("_client", "_opened", "multi_turn", "params", "prompt", "url")

    def __init__(self, client: RemoteClient, opened: JSONObject) -> None:
        self._client = client
        self._opened = opened
        self.prompt = opened["prompt"]
        self.params = opened["params"]
        self.multi_turn = opened["multi_turn"]
        self.url = opened["url"]

    async def list_tools(self) -> Sequence[ToolSpec]:
        return await self._client.tools_of(self._opened)

    async def call(self, name: str, arguments: JSONObject, caller: str = "") -> ToolResult:
        return await self._client.call_agent_tool(self._opened, name, arguments, caller)

    async def reply(self, message: str) -> str | None:
        asked = {"episode": self._opened["episode"], "message": message}
        got = await self._client.operate("reply", asked, opened=self._opened)
        said: str | None = got["message"]
        return said


class RemoteEpisode(EpisodeClient):
    """An open episode behind MCP."""

    __slots__ = ("_client", "_handle", "_opened", "agent")

    def __init__(self, client: RemoteClient, opened: JSONObject) -> None:
        self._client = client
        self._opened = opened
        self._handle: str = opened["episode"]
        self.agent = RemoteSession(client, opened)

    async def reference_step(self, index: int, results: Sequence[str]) -> Step:
        # Steps are kept by number on the server, so that asking again moves nothing.
        arguments = {"episode": self._handle, "step": index, "results": list(results)}
        got = await self._operate("reference_solution", arguments)
        calls = [Call(c["name"], **c["arguments"]) for c in got["calls"]]
        return Step(calls, got["say"], got["done"])

    async def verify(self, transcript: Transcript) -> Verdict:
        arguments = {"episode": self._handle, "items": transcript.items, "stop": transcript.stop}
        try:
            got = await self._operate("verify_episode", arguments)
        finally:
            self._client.ended(self._opened)
        reward = Reward(got["reward"], got["components"], got["notes"], got.get("answer"))
        return Verdict(reward, got["ledger"], got.get("judge_usage"))

    async def state(self) -> JSONObject:
        state: JSONObject = (await self._ask("episode_state"))["state"]
        return state

    async def ledger(self) -> list[JSONObject]:
        ledger: list[JSONObject] = (await self._ask("episode_ledger"))["ledger"]
        return ledger

    async def close(self) -> None:
        self._client.ended(self._opened)
        await self._ask("close_episode")

    async def _ask(self, tool: str) -> JSONObject:
        return await self._operate(tool, {"episode": self._handle})

    async def _operate(self, tool: str, arguments: JSONObject) -> JSONObject:
        return await self._client.operate(tool, arguments, repeatable=True, opened=self._opened)


def structured(result: JSONObject) -> JSONObject:
    """The structured result of an operator tool, or the error that it reports, raised."""
    value = result.get("structuredContent")
    if value is None:
        value = _from_text(result)
    if result.get("isError"):
        raise_failure(value.get("error") or {"message": _text(result)})
    found: JSONObject = value
    return found


def tool_specs(tools: Sequence[JSONObject]) -> list[ToolSpec]:
    """The tools of a `tools/list` or `list_tools` result."""
    return [
        ToolSpec(
            t["name"],
            t.get("description") or "",
            t["inputSchema"],
            bool(t.get("readOnly") or (t.get("annotations") or {}).get("readOnlyHint")),
        )
        for t in tools
    ]


def _from_text(result: JSONObject) -> JSONObject:
    import json

    try:
        value = json.loads(_text(result))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(result: JSONObject) -> str:
    return "\n".join(b["text"] for b in result.get("content", ()) if b.get("type") == "text")
