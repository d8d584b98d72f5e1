"""Whether more calls in flight still bring more answers: the part of an endpoint's limit that latency decides.

Latency alone says little: answers get longer, and servers that batch are slower but not worse when they have more
to do. So a rise is a suspicion only. It is put to a test, as PCC does (Dong et al., "PCC: Re-architecting
Congestion Control for Consistent High Performance", NSDI 2015): with 30 % fewer in flight, do as many answers come
in a second? Then the others only waited in the endpoint's queue, and the limit stays there; else all is as before.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

SUSPICIOUS: Final = 2.0
"""Mean latency, as a multiple of the lowest one seen, above which fewer calls are tried."""
FEWER: Final = 0.7
MORE: Final = 1 / FEWER
SAME: Final = 0.95
"""Part of the answers a second that fewer calls must still bring, all reductions in a row taken together."""
BETTER: Final = 1.08
"""How many times the answers more calls must bring, of at most 1.43, to be allowed. Both are near 1, because a
server that batches gains a little with each call for long."""
LEAST: Final = 512
"""Answers of a look; twice the calls in flight where that is more. Its rate is then known to 4 to 10 %."""
_GLANCE: Final = 128
"""The same where nothing is being tested: enough for a suspicion."""
FLOOR: Final = 32
"""Fewer calls in flight are not tried."""
_FIRST, _LONGEST = 2, 32
"""Looks between two tests that came to nothing: twice as many each time."""


class _Stage(Enum):
    WATCHING = auto()
    SETTLING = auto()
    BEFORE = auto()
    FEWER = auto()
    HOLDING = auto()
    MORE = auto()


class Knee:
    """Watches the answers of an endpoint. `limit` is its wish, None where it has none: then others decide."""

    def __init__(self, maximum: int, clock: Callable[[], float]) -> None:
        self.limit: int | None = None
        self._maximum = maximum
        self._clock = clock
        self._lowest = float("inf")
        self._stage = self._next = _Stage.WATCHING
        self._left = self._size = _GLANCE
        self._since = clock()
        self._seconds = 0.0
        self._in_flight = 0.0
        self._rate = self._best = 0.0
        self._turn = False
        self._latency = 0.0
        self._held = 0
        self._patience = _FIRST
        self._rest = 0

    def bound(self, maximum: int) -> None:
        """Wish for at most so many from now on."""
        self._maximum = maximum

    def answered(self, seconds: float) -> bool:
        """An answer came after `seconds`; whether `limit` has changed."""
        self._seconds += seconds
        self._left -= 1
        if self._left:
            return False
        now, before = self._clock(), self.limit
        elapsed = max(now - self._since, 1e-9)
        self._look(self._size / elapsed, self._seconds / self._size, self._seconds / elapsed)
        self._since, self._seconds = now, 0.0
        return self.limit != before

    def give_up(self) -> None:
        """The endpoint asked for less: what was being tried means nothing now."""
        if self._stage is not _Stage.WATCHING:
            self._back_off()
            self._let_go()

    def _look(self, rate: float, latency: float, in_flight: float) -> None:
        """A stretch of answers is over: `rate` a second, mean latency, mean calls in flight (Little's law)."""
        stage, self._in_flight = self._stage, in_flight
        if stage is _Stage.SETTLING:
            self._enter(self._next)
            return
        if stage is _Stage.WATCHING:
            self._watch(latency, in_flight)
        elif stage is _Stage.BEFORE:
            self._best = rate
            self._try(int(in_flight * FEWER), _Stage.FEWER)
        elif stage is _Stage.FEWER:
            self._judge_fewer(rate, latency)
        elif stage is _Stage.HOLDING:
            self._hold(rate, latency)
        else:
            self._judge_more(rate, latency)

    def _watch(self, latency: float, in_flight: float) -> None:
        self._lowest = min(self._lowest, latency)
        self._rest -= 1
        if latency > SUSPICIOUS * self._lowest and in_flight * FEWER >= FLOOR and self._rest < 0:
            self._try(int(in_flight), _Stage.BEFORE)
        else:
            self._enter(_Stage.WATCHING)

    def _judge_fewer(self, rate: float, latency: float) -> None:
        assert self.limit is not None
        if rate < SAME * self._best:
            if self._held:
                self._try(self._held, _Stage.HOLDING)
            else:
                self._let_go()
            self._back_off()
            return
        self._best = max(self._best, rate)
        self._held = self.limit
        if not self._try_fewer(latency):
            self._patience = self._rest = _FIRST
            self._enter(_Stage.HOLDING)

    def _hold(self, rate: float, latency: float) -> None:
        """Nothing is to be gained by more; now and then that is put to the test, and fewer in turn with it."""
        self._lowest = min(self._lowest, latency)
        self._best += (rate - self._best) / 8  # the best of several looks is luck in part
        self._rest -= 1
        if self._rest >= 0:
            self._enter(_Stage.HOLDING)
            return
        self._turn = not self._turn
        if self._turn or not self._try_fewer(latency):
            self._rate, self._latency = rate, latency
            self._try_more()

    def _try_fewer(self, latency: float) -> bool:
        """Test still fewer if answers are slow still; whether that is so."""
        fewer = int(self._held * FEWER)
        if latency <= SUSPICIOUS * self._lowest or fewer < FLOOR:
            return False
        self._try(fewer, _Stage.FEWER)
        return True

    def _try_more(self) -> None:
        more = int(self._held * MORE)
        if more < self._maximum:
            self._try(more, _Stage.MORE)
        else:
            self._let_go()

    def _judge_more(self, rate: float, latency: float) -> None:
        assert self.limit is not None
        if rate >= BETTER * self._rate:
            self._lowest = self._latency  # it was no queue that made answers slow
            self._patience = self._rest = _FIRST
            self._rate = self._best = rate
            self._latency, self._held = latency, self.limit
            self._try_more()
        else:
            self._back_off()
            self._try(self._held, _Stage.HOLDING)

    def _try(self, limit: int, then: _Stage) -> None:
        """Have `limit` calls in flight, and look once those from before have ended."""
        self.limit = limit
        self._next = then
        self._stage = _Stage.SETTLING
        self._left = self._size = max(int(self._in_flight), 1)

    def _enter(self, stage: _Stage) -> None:
        self._stage = stage
        self._left = self._size = max(LEAST if stage is not _Stage.WATCHING else _GLANCE, 2 * int(self._in_flight))

    def _let_go(self) -> None:
        self.limit, self._held = None, 0
        self._enter(_Stage.WATCHING)

    def _back_off(self) -> None:
        self._rest = self._patience = min(2 * self._patience, _LONGEST)
