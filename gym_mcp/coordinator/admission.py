"""The way into an environment that is full: rollouts wait for room, and spend no attempt on it.

Where the server lets them, they wait there, in one line with the rollouts of other runs. It may be full of the
episodes of a run that was killed: those go when their lease ends.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from gym_mcp.client import Description, EnvironmentClient, EpisodeClient, GroupVerdict
from gym_mcp.errors import EnvironmentBusy, EnvironmentFailure
from gym_mcp.types import GroupRollout, JSONObject, Task

PATIENCE: Final = 3_900.0
"""Seconds that a rollout waits for room: more than the hour that a lease lasts by default."""
AT_A_TIME: Final = 20.0
"""Seconds that one request waits at the server."""
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 15.0


class Admission:
    """Who waits for room in an environment. `on_full` is told, once, when the first has to."""

    def __init__(self) -> None:
        self.waiting = 0
        self.on_full: Callable[[str], None] | None = None
        self._told = False

    async def open(
        self,
        client: EnvironmentClient,
        task: Task[Any],
        seed: int,
        key: str | None = None,
        deadline: asyncio.Timeout | None = None,
    ) -> tuple[EpisodeClient, float]:
        """An open episode, and the seconds that it waited for room, which do not count towards `deadline`.

        `EnvironmentFailure` when there was none for `PATIENCE` seconds.
        """
        try:
            return await client.open_episode(task, seed=seed, key=key), 0.0
        except EnvironmentBusy as e:
            self._tell(str(e))
        began, ends = time.monotonic(), None if deadline is None else deadline.when()
        if deadline is not None:
            deadline.reschedule(None)
        self.waiting += 1
        try:
            episode = await self._wait(client, task, seed, key)
        finally:
            self.waiting -= 1
            waited = time.monotonic() - began
            if deadline is not None and ends is not None:
                deadline.reschedule(ends + waited)
        return episode, waited

    async def _wait(self, client: EnvironmentClient, task: Task[Any], seed: int, key: str | None) -> EpisodeClient:
        end, pause = time.monotonic() + PATIENCE, _FIRST_PAUSE
        while True:
            asked = time.monotonic()
            try:
                return await client.open_episode(task, seed=seed, key=key, wait=AT_A_TIME)
            except EnvironmentBusy as e:
                if time.monotonic() > end:
                    raise EnvironmentFailure(f"no room for {PATIENCE:g} s: {e}") from None
                wait = max(pause, min(e.retry_after, _LONGEST_PAUSE))
            if time.monotonic() - asked < AT_A_TIME / 2:  # it lets nobody wait: ask later and later
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _tell(self, message: str) -> None:
        if not self._told and self.on_full is not None:
            self.on_full(message)
        self._told = True


class Patient(EnvironmentClient):
    """A client whose `open_episode` waits for room."""

    def __init__(self, client: EnvironmentClient) -> None:
        self._client = client
        self._admission = Admission()

    async def describe(self) -> Description:
        return await self._client.describe()

    def tasks(self) -> AsyncIterator[JSONObject]:
        return self._client.tasks()

    async def open_episode(
        self, task: Task[Any], *, seed: int, key: str | None = None, wait: float = 0.0
    ) -> EpisodeClient:
        return (await self._admission.open(self._client, task, seed, key))[0]

    async def verify_group(self, task: Task[Any], rollouts: Sequence[GroupRollout]) -> GroupVerdict:
        return await self._client.verify_group(task, rollouts)
