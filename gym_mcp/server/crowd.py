"""How many requests of agents a server has in progress: of one episode, and of all."""

from __future__ import annotations

from collections import Counter
from typing import Final

from gym_mcp.server.gate import Refused

EACH: Final = 256
"""Requests of one episode in progress. Its calls run one after another anyway; more only take memory."""
ALL: Final = 8_192
"""Requests of all episodes in progress."""
RETRY_AFTER: Final = 1
"""Seconds."""


class Crowd:
    """Counts who is inside, and refuses one more with a 503 before anything of its request is read."""

    def __init__(self, each: int = EACH, all: int = ALL) -> None:
        self._each = each
        self._all = all
        self._inside: Counter[str] = Counter()
        self._total = 0

    def enter(self, handle: str) -> None:
        """Let in a request of an episode, or raise `Refused`. `leave` belongs into a `finally`."""
        if self._total >= self._all or self._inside[handle] >= self._each:
            headers = [(b"retry-after", str(RETRY_AFTER).encode())]
            raise Refused(503, "Service Unavailable: too many requests in progress; ask again", headers)
        self._inside[handle] += 1
        self._total += 1

    def leave(self, handle: str) -> None:
        self._total -= 1
        self._inside[handle] -= 1
        if not self._inside[handle]:
            del self._inside[handle]
