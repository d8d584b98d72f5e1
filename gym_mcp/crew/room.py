"""How many rollouts a worker process runs at a time: a semaphore that can be made larger and smaller."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


class Room:
    """At most `size` holders at a time, first come first served. Made smaller, it lets its holders finish."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def resize(self, size: int) -> None:
        self._size = size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._inside < self._size:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._inside += 1
                waiter.set_result(None)

    async def __aenter__(self) -> None:
        if self._inside < self._size:  # then nobody waits: whoever leaves lets the next in
            self._inside += 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # cancelled after it was let in
                self._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._inside -= 1
        self._admit()
