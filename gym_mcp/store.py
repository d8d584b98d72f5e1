"""All live episodes of one environment type: opened by key, found by handle, leased, collected."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from gym_mcp.environment import Environment
from gym_mcp.episode import Episode
from gym_mcp.errors import EnvironmentBusy, EnvironmentFailure, EpisodeGone, UsageError
from gym_mcp.slots import Slots
from gym_mcp.types import Task

MAX_WAIT: Final = 60.0
"""Seconds that an `open` may wait for room."""
MAX_WAITING: Final = 16_384
Wanted = Callable[[], Awaitable[bool]]


class EpisodeStore:
    """All live episodes of one environment type: bounded in number, leased, collected.

    `open` is idempotent by key; the verdict of a closed episode stays readable for a while, so that a client
    that lost the answer may ask again. `max_episodes` is the caller's bound, the class may have a lower one
    (`max_live`); `max_calls` are tool calls in progress at a time, all episodes together.
    """

    def __init__(
        self,
        cls: type[Environment[Any]],
        *,
        max_episodes: int = 16_384,
        ttl: float = 3_600.0,
        remember: int = 1_024,
        max_calls: int | None = None,
    ) -> None:
        self.environment_type = cls
        self.max_episodes = max_episodes if cls.max_live is None else min(max_episodes, cls.max_live)
        self._seats = Slots(self.max_episodes)
        self.slots = None if max_calls is None else Slots(max_calls)
        self._mark = secrets.token_urlsafe(3)
        self.ttl = ttl
        self._live: dict[str, Episode] = {}
        self._opening: dict[str, asyncio.Future[Episode]] = {}
        self._by_key: dict[str, Episode] = {}
        self._closing: set[asyncio.Future[None]] = set()
        self._finished: OrderedDict[str, Episode] = OrderedDict()
        self._remember = remember

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Episode]:
        return iter(list(self._live.values()))

    async def open(
        self,
        task: Task[Any],
        seed: int,
        *,
        key: str | None = None,
        ttl: float | None = None,
        wait: float = 0.0,
        wanted: Wanted | None = None,
    ) -> Episode:
        """A new episode of `task`, or the live one that was opened under `key`.

        Without room it waits for some for `wait` seconds, first come, first served, runs in turn; then
        `EnvironmentBusy`. `wanted` is asked after a wait whether anybody is there to take the episode.
        """
        if key is None:
            await self._take_seat("", wait, wanted)
            return await self._open(task, seed, ttl)
        if key in self._opening:
            episode = await asyncio.shield(self._opening[key])
        elif key in self._by_key and not self._by_key[key].expired:
            episode = self._by_key[key]
            episode.expires = time.monotonic() + episode.ttl
        else:
            episode = await self._open_as(key, task, seed, ttl, wait, wanted)
        if (episode.task.id, episode.seed) != (task.id, seed):
            raise UsageError(f"open_episode: key `{key}` belongs to an episode of another task or seed")
        return episode

    async def _open_as(
        self, key: str, task: Task[Any], seed: int, ttl: float | None, wait: float, wanted: Wanted | None
    ) -> Episode:
        pending = self._opening[key] = asyncio.get_running_loop().create_future()
        try:
            await self._take_seat(key.partition("/")[0], wait, wanted)
            episode = await self._open(task, seed, ttl)
        except BaseException as e:
            gone = EnvironmentFailure("the client that was opening the episode gave up", retryable=True)
            pending.set_exception(e if isinstance(e, Exception) else gone)
            pending.exception()  # retrieved: nobody else may be waiting
            raise
        else:
            pending.set_result(episode)
            episode.key = key
            self._by_key[key] = episode
            return episode
        finally:
            del self._opening[key]

    async def _open(self, task: Task[Any], seed: int, ttl: float | None) -> Episode:
        lease = self.ttl if ttl is None else min(ttl, self.ttl)
        handle = self._mark + secrets.token_urlsafe(24)
        episode = Episode(self.environment_type, task, seed, handle, lease, self.slots)
        self._live[episode.handle] = episode
        try:
            await episode.open()
        except BaseException:
            if self._live.pop(episode.handle, None) is not None:
                await self._release(episode)
            raise
        return episode

    async def _take_seat(self, run: str, wait: float, wanted: Wanted | None) -> None:
        """Take one of the seats that `_open` fills, whatever comes of it."""
        if self._seats.enter_at_once():
            return
        if await self.collect() and self._seats.enter_at_once():
            return
        busy = EnvironmentBusy(f"{self.max_episodes} episodes are open already")
        if wait <= 0 or self._seats.waiting >= MAX_WAITING:
            raise busy
        try:
            async with asyncio.timeout(min(wait, MAX_WAIT)):
                await self._seats.enter(run)
        except TimeoutError:
            raise busy from None
        try:
            there = wanted is None or await wanted()
        except BaseException:
            self._seats.leave()
            raise
        if not there:
            self._seats.leave()
            raise EnvironmentFailure("the client that was opening the episode went away", retryable=True)

    def get(self, handle: str) -> Episode:
        """The live episode; `EpisodeGone` when it is unknown, closed or expired.

        A fresh one may help where it never was here: a server that took the place of a dead one is asked for the
        episodes of that one.
        """
        episode = self._live.get(handle)
        if episode is None or episode.expired:
            if not handle.startswith(self._mark):
                raise EpisodeGone("no such episode: never opened here, or the server was replaced", retryable=True)
            raise EpisodeGone("no such episode: never opened, closed or expired")
        return episode

    def finished(self, handle: str) -> Episode | None:
        """A closed episode that is still remembered, for its verdict and ledger."""
        return self._finished.get(handle)

    async def close(self, handle: str) -> None:
        """Close an episode; closing one that is gone does nothing."""
        episode = self._live.pop(handle, None)
        if episode is None:
            return
        if episode.key is not None and self._by_key.get(episode.key) is episode:
            del self._by_key[episode.key]
        self._finished[handle] = episode
        while len(self._finished) > self._remember:
            self._finished.popitem(last=False)
        await self._release(episode)

    async def _release(self, episode: Episode) -> None:
        """Close an episode that nobody can reach any more, to the end even if the caller is cancelled."""
        if episode.close_at_once():
            self._seats.leave()
            return
        closing = asyncio.ensure_future(episode.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closed)
        await asyncio.shield(closing)

    def _closed(self, closing: asyncio.Future[None]) -> None:
        self._closing.discard(closing)
        self._seats.leave()  # not before: what is being closed still holds what it took

    async def collect(self) -> int:
        """Close what has outlived its lease; how many that were."""
        expired = [e.handle for e in self._live.values() if e.expired]
        await asyncio.gather(*map(self.close, expired))
        return len(expired)

    async def close_all(self) -> None:
        """Close every episode."""
        await asyncio.gather(*map(self.close, list(self._live)))
        await asyncio.gather(*self._closing)
