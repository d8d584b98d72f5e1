"""The first rung of the ladder: an environment in this process, called directly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from gym_mcp.client import AgentSession, Description, EnvironmentClient, EpisodeClient, GroupVerdict, Verdict
from gym_mcp.datasets import as_row, load_tasks
from gym_mcp.environment import Environment
from gym_mcp.episode import Episode
from gym_mcp.identity import environment_identity
from gym_mcp.solution import Step
from gym_mcp.store import EpisodeStore
from gym_mcp.types import GroupRollout, JSONObject, Task, ToolResult, ToolSpec, Transcript
from gym_mcp.verdict import verify_group

COLLECT_EVERY: Final = 30.0
"""Seconds between two looks for expired episodes."""


def describe(cls: type[Environment[Any]], *, num_tasks: int | None = None) -> Description:
    """What `describe` says of an environment class."""
    tools: list[JSONObject] = [
        {
            "name": tool.name,
            "description": tool.spec.description,
            "inputSchema": tool.spec.input_schema,
            "outputSchema": tool.output_schema,
            "readOnly": tool.spec.read_only,
        }
        for tool in cls.tools().values()
    ]
    return Description(
        name=cls.name,
        version=cls.version,
        summary=cls.summary(),
        interaction=cls.interaction(),
        reward_range=cls.reward_range,
        higher_is_better=cls.higher_is_better,
        floor=cls.floor,
        has_solution=cls.has("solution"),
        num_tasks=num_tasks,
        tools=tools,
        identity=environment_identity(cls),
        groups=cls.has("verify_group"),
        max_live=cls.max_live,
    )


class DirectSession(AgentSession):
    """The agent plane of an episode in this process."""

    __slots__ = ("_episode", "_specs", "multi_turn", "params", "prompt")

    def __init__(self, episode: Episode) -> None:
        self._episode = episode
        self._specs: list[ToolSpec] | None = None
        self.prompt = episode.task.prompt
        self.params = episode.task.params
        self.multi_turn = episode.environment_type.has("reply")

    async def list_tools(self) -> Sequence[ToolSpec]:
        self._episode.seen = True
        if self._specs is None:
            self._specs = [tool.spec for tool in self._episode.tools.values()]
        return self._specs

    async def call(self, name: str, arguments: JSONObject, caller: str = "") -> ToolResult:
        return await self._episode.call(name, arguments, caller)

    async def reply(self, message: str) -> str | None:
        return await self._episode.reply(message)


class DirectEpisode(EpisodeClient):
    """An open episode in this process."""

    __slots__ = ("_episode", "_store", "agent")

    def __init__(self, store: EpisodeStore, episode: Episode) -> None:
        self._store = store
        self._episode = episode
        self.agent = DirectSession(episode)

    async def reference_step(self, index: int, results: Sequence[str]) -> Step:
        return await self._episode.reference_step(index, results)

    async def verify(self, transcript: Transcript) -> Verdict:
        try:
            reward = await self._episode.verify(transcript)
        finally:
            await self._store.close(self._episode.handle)
        return Verdict(reward, await self.ledger(), self._episode.judge_usage)

    async def state(self) -> JSONObject:
        return await self._episode.state()

    async def ledger(self) -> list[JSONObject]:
        return [entry.as_json() for entry in self._episode.ledger]

    async def close(self) -> None:
        await self._store.close(self._episode.handle)


class DirectClient(EnvironmentClient):
    """An environment class, run in this process."""

    def __init__(self, cls: type[Environment[Any]], *, store: EpisodeStore | None = None) -> None:
        self.environment_type = cls
        self.store = EpisodeStore(cls) if store is None else store  # an empty one is falsy
        self._collector: asyncio.Task[None] | None = None

    async def describe(self) -> Description:
        return describe(self.environment_type)

    async def tasks(self) -> AsyncIterator[JSONObject]:
        for task in load_tasks(self.environment_type):
            yield as_row(task)

    async def open_episode(
        self, task: Task[Any], *, seed: int, key: str | None = None, wait: float = 0.0
    ) -> EpisodeClient:
        if self._collector is None:
            self._collector = asyncio.get_running_loop().create_task(collect_forever(self.store))
        return DirectEpisode(self.store, await self.store.open(task, seed, key=key, wait=wait))

    async def verify_group(self, task: Task[Any], rollouts: Sequence[GroupRollout]) -> GroupVerdict:
        return await verify_group(self.environment_type, task, rollouts)

    async def aclose(self) -> None:
        if self._collector is not None:
            self._collector.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._collector
            self._collector = None
        await self.store.close_all()


async def collect_forever(store: EpisodeStore) -> None:
    """Close expired episodes as long as the store lives."""
    while True:
        await asyncio.sleep(COLLECT_EVERY)
        await store.collect()
