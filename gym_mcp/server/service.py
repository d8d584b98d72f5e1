"""One environment type as it is served: its class, its live episodes and its tasks."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from gym_mcp.datasets import load_tasks
from gym_mcp.direct import collect_forever
from gym_mcp.environment import Environment, bundled_tasks
from gym_mcp.episode import Episode
from gym_mcp.errors import UsageError
from gym_mcp.identity import environment_identity, json_digest, path_digest
from gym_mcp.server.record import append
from gym_mcp.store import EpisodeStore
from gym_mcp.suggest import did_you_mean
from gym_mcp.tools import Tool
from gym_mcp.types import Task


class Service:
    """What both planes of one environment share.

    `tasks`: a JSONL file that takes the place of the environment's own tasks. `record`: a JSONL file that gets
    one line per tool call, as it happens, from any number of processes. `max_live`: episodes that all workers of a
    server hold together; those of `store` where there is one worker.
    """

    def __init__(
        self,
        cls: type[Environment[Any]],
        *,
        store: EpisodeStore | None = None,
        tasks: Path | None = None,
        record: Path | None = None,
        max_live: int | None = None,
    ) -> None:
        self.environment_type = cls
        self.store = EpisodeStore(cls) if store is None else store
        self.max_live = self.store.max_episodes if max_live is None else max_live
        self._source = tasks
        self._record = record
        self._recorded: WeakKeyDictionary[Episode, int] = WeakKeyDictionary()
        self._tasks: dict[str, Task[Any]] | None = None
        self._digests: dict[tuple[str, ...], str] = {}

    @property
    def name(self) -> str:
        return self.environment_type.name

    def tasks(self) -> dict[str, Task[Any]]:
        """All tasks by id, loaded at the first use; `UsageError` for a row that does not fit."""
        if self._tasks is None:
            self._tasks = {t.id: t for t in load_tasks(self.environment_type, self._source)}
        return self._tasks

    def task(self, task_id: str) -> Task[Any]:
        """The task of that id; `UsageError` when there is none."""
        tasks = self.tasks()
        if task_id not in tasks:
            raise UsageError(f"environment {self.name}: no task `{task_id}`{did_you_mean(task_id, tasks)}")
        return tasks[task_id]

    def identity(self) -> dict[str, str]:
        """Content hashes of what is served: the environment's own, and one of the file that holds its tasks."""
        file = self._source or bundled_tasks(self.environment_type)
        tasks = "" if file is None else path_digest(file)
        return {**environment_identity(self.environment_type), "tasks": tasks}

    def tools_digest(self, tools: Mapping[str, Tool]) -> str:
        """A digest of what an agent is told about the tools: equal digests, equal lists."""
        declared = self.environment_type.tools()
        if any(declared.get(name) is not tool for name, tool in tools.items()):
            return _digest(tools)
        names = tuple(tools)
        if names not in self._digests:
            self._digests[names] = _digest(tools)
        return self._digests[names]

    def record(self, episode: Episode) -> None:
        """Append the calls of an episode that are not in the record file yet, if there is one."""
        if self._record is None:
            return
        new = episode.ledger[self._recorded.get(episode, 0) :]
        self._recorded[episode] = len(episode.ledger)
        about = {
            "environment": self.name,
            # A handle is a credential as long as its episode lives, so the file holds a hash of it.
            "episode": hashlib.sha256(episode.handle.encode()).hexdigest()[:12],
            "task_id": episode.task.id,
            "seed": episode.seed,
        }
        lines = [json.dumps({**about, "call": entry.as_json()}, ensure_ascii=False) + "\n" for entry in new]
        if lines:
            append(self._record, "".join(lines).encode())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Collect expired episodes meanwhile; close all of them at the end."""
        collector = asyncio.get_running_loop().create_task(collect_forever(self.store))
        try:
            yield
        finally:
            collector.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await collector
            await self.store.close_all()


def _digest(tools: Mapping[str, Tool]) -> str:
    return json_digest(
        [[s.name, s.description, s.input_schema, s.read_only] for s in (t.spec for t in tools.values())]
    )


EpisodeOf = Callable[[Any], Episode]
"""How a plane finds the episode of a request, given the SDK's request context."""
