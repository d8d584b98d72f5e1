"""How many episodes an environment holds, or calls it makes, at a time, and who is next."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque


class Slots:
    """At most `limit` at a time. Owners take turns: one that asks a thousand times delays another by one turn."""

    __slots__ = ("_free", "_waiting", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = limit
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def taken(self) -> int:
        return self.limit - self._free

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def enter_at_once(self) -> bool:
        """Take a slot if one is free: then nobody waits for one."""
        if self._free:
            self._free -= 1
            return True
        return False

    async def enter(self, owner: str) -> None:
        """Wait for a slot; `leave` belongs into a `finally`."""
        if self.enter_at_once():
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in and cancelled at once
                self.leave()
            else:
                self._forget(owner, turn)
            raise

    def _forget(self, owner: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(owner)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[owner]

    def leave(self) -> None:
        """Hand the slot to the owner whose turn it is."""
        while self._waiting:
            owner, queue = next(iter(self._waiting.items()))
            turn = queue.popleft()
            if queue:
                self._waiting.move_to_end(owner)
            else:
                del self._waiting[owner]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
