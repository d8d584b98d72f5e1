"""The processes that serve an environment, as a client knows them: who gets the next episode."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Final

from gym_mcp.http1 import Address

REST: Final = 5.0
"""Seconds for which a worker that could not be reached is asked last."""


class Worker:
    """The operator plane of one process. `live`: episodes of this client there, opening ones included."""

    __slots__ = ("address", "live", "rests_until")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.live = 0
        self.rests_until = 0.0

    def rest(self) -> None:
        """Nobody answered there."""
        self.rests_until = time.monotonic() + REST


class Workers:
    """All of them. The one with the fewest live episodes comes first, in turn among equals."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._all = [Worker(address) for address in addresses]
        self._next = random.randrange(len(self._all))  # clients that start together start at different ones

    def __len__(self) -> int:
        return len(self._all)

    def in_order(self) -> Sequence[Worker]:
        """Workers to ask for an episode, the best first."""
        if len(self._all) == 1:
            return self._all
        self._next = at = (self._next + 1) % len(self._all)
        now = time.monotonic()
        turned = self._all[at:] + self._all[:at]
        return sorted(turned, key=lambda worker: (worker.rests_until > now, worker.live))
