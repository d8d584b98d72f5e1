"""Who is inside an episode: one call alone, or any number of calls that only read. First come, first served."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """A lock that readers share. `async with turns` waits to be alone, `enter_shared` for no writer.

    A reader that comes after a waiting writer waits too: what a client sends in an order happens in that order.
    """

    __slots__ = ("_alone", "_queue", "_readers")

    def __init__(self) -> None:
        self._alone = False
        self._readers = 0
        self._queue: deque[tuple[bool, asyncio.Future[None]]] = deque()

    @property
    def readers(self) -> int:
        """How many readers are inside."""
        return self._readers

    def locked(self) -> bool:
        return self._alone or self._readers > 0

    async def __aenter__(self) -> None:
        if self._alone or self._readers or self._queue:
            await self._wait(False)
        else:
            self._alone = True

    async def __aexit__(self, *exc: object) -> None:
        self._leave(False)

    async def enter_shared(self) -> None:
        """Go in with other readers; `leave_shared` belongs into a `finally`."""
        if self._alone or self._queue:
            await self._wait(True)
        else:
            self._readers += 1

    def leave_shared(self) -> None:
        self._leave(True)

    async def _wait(self, reads: bool) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue.append((reads, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in and cancelled at once
                self._leave(reads)
            else:
                self._admit()  # it may have stood before others that can go in now
            raise

    def _leave(self, reads: bool) -> None:
        if reads:
            self._readers -= 1
        else:
            self._alone = False
        self._admit()

    def _admit(self) -> None:
        """Let in from the front of the queue whoever fits; a turn is taken before its task wakes up."""
        while self._queue:
            reads, turn = self._queue[0]
            if not turn.done():
                if self._alone or (self._readers and not reads):
                    return
                if reads:
                    self._readers += 1
                else:
                    self._alone = True
                turn.set_result(None)
            self._queue.popleft()
