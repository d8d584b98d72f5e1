"""The way into an environment that is full: rollouts wait in a line, and spend no attempt on it.

One of them asks at a time, later and later, and at once when a rollout of this run has left. The server may be
full of other runs' episodes; those of a run that was killed go when their lease ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from gym_mcp.client import Description, EnvironmentClient, EpisodeClient, GroupVerdict
from gym_mcp.errors import EnvironmentBusy, EnvironmentFailure
from gym_mcp.types import GroupRollout, JSONObject, Task

PATIENCE: Final = 3_900.0
"""Seconds that a rollout waits for a place: more than the hour that a lease lasts by default."""
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 15.0
_SURELY_IN: Final = 0.5
"""Seconds after which an unanswered request is one that is being fulfilled: a full server says so at once."""

Ask = Callable[[], Awaitable[EpisodeClient]]


class Admission:
    """Who waits for a place in an environment. `on_full` is told, once, when the first has to."""

    def __init__(self) -> None:
        self.waiting = 0
        self.on_full: Callable[[str], None] | None = None
        self._told = False
        self._line = asyncio.Lock()  # first come, first served
        self._left = asyncio.Event()

    def left(self) -> None:
        """A rollout of this run has ended: there may be room."""
        if self.waiting:
            self._left.set()

    async def wait(self, ask: Ask, full: EnvironmentBusy) -> EpisodeClient:
        """The episode that `ask` opens, once there is room; `full` is what it was told at first.

        `EnvironmentFailure` when there was none for `PATIENCE` seconds.
        """
        self._tell(str(full))
        self.waiting += 1
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    async with self._line:
                        opening = await self._in_front(ask)
                    with contextlib.suppress(EnvironmentBusy):
                        return await opening
        except TimeoutError:
            raise EnvironmentFailure(f"no room for {PATIENCE:g} s: {full}") from None
        finally:
            self.waiting -= 1

    async def _in_front(self, ask: Ask) -> Awaitable[EpisodeClient]:
        """Ask until it is not refused at once; what then comes of it."""
        pause = _FIRST_PAUSE
        while True:
            self._left.clear()
            opening = asyncio.ensure_future(ask())
            try:
                await asyncio.wait([opening], timeout=_SURELY_IN)
            except asyncio.CancelledError:
                opening.cancel()
                raise
            error = opening.exception() if opening.done() and not opening.cancelled() else None
            if not isinstance(error, EnvironmentBusy):
                return opening
            wait = max(pause, min(error.retry_after, _LONGEST_PAUSE)) * random.uniform(0.5, 1.0)
            pause = min(2 * pause, _LONGEST_PAUSE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._left.wait()

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

    async def open_episode(self, task: Task[Any], *, seed: int, key: str | None = None) -> EpisodeClient:
        async with asyncio.timeout(None) as deadline:
            ask = partial(self._client.open_episode, task, seed=seed, key=key)
            return (await admitted(self._admission, ask, deadline))[0]

    async def verify_group(self, task: Task[Any], rollouts: Sequence[GroupRollout]) -> GroupVerdict:
        return await self._client.verify_group(task, rollouts)


async def admitted(admission: Admission, ask: Ask, deadline: asyncio.Timeout) -> tuple[EpisodeClient, float]:
    """An open episode, and the seconds that it waited for room, which do not count towards `deadline`."""
    if not admission.waiting:
        try:
            return await ask(), 0.0
        except EnvironmentBusy as e:
            full = e
    else:
        full = EnvironmentBusy("others wait already")
    began, ends = time.monotonic(), deadline.when()
    deadline.reschedule(None)
    try:
        episode = await admission.wait(ask, full)
    finally:
        waited = time.monotonic() - began
        if ends is not None:
            deadline.reschedule(ends + waited)
    return episode, waited
