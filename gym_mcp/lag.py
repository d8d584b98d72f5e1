"""How late the event loop is: what every timer, socket and other episode waits while one callback runs."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Mapping
from math import ceil, log
from typing import Final

EVERY: Final = 0.02
"""Seconds between two looks; a look costs some microseconds."""
_LEAST: Final = 1e-4
_STEP: Final = log(1.1)
_BUCKETS: Final = 160
"""From 0.1 ms in steps of 10 % to some minutes."""


class Lags:
    """Lags counted in buckets 10 % apart, so that quantiles of a run of any length take 160 numbers."""

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * _BUCKETS))
        self.greatest = 0.0

    def add(self, seconds: float) -> None:
        bucket = 0 if seconds <= _LEAST else min(ceil(log(seconds / _LEAST) / _STEP), _BUCKETS - 1)
        self._counts[bucket] += 1
        self.greatest = max(self.greatest, seconds)

    def quantile(self, q: float) -> float | None:
        """Seconds that the share `q` of all looks did not exceed, to 10 %; None before the first look."""
        total = sum(self._counts)
        rank, seen = ceil(q * total), 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if total and seen >= rank:
                return min(_LEAST * 1.1**bucket, self.greatest)
        return None

    def take(self) -> dict[str, int]:
        """The counts by bucket, and begin anew: for another process to `merge`."""
        found = {str(i): n for i, n in enumerate(self._counts) if n}
        self._counts = array("Q", bytes(8 * _BUCKETS))
        return found

    def merge(self, counts: Mapping[str, int], greatest: float) -> None:
        for bucket, count in counts.items():
            self._counts[int(bucket)] += count
        self.greatest = max(self.greatest, greatest)

    def as_json(self) -> dict[str, float]:
        """The fields of `metrics.json`; none before the first look."""
        p99 = self.quantile(0.99)
        if p99 is None:
            return {}
        return {"loop_lag_p99_ms": round(p99 * 1000, 2), "loop_lag_max_ms": round(self.greatest * 1000, 2)}


class LagProbe:
    """Looks at the running loop until it is stopped."""

    def __init__(self, lags: Lags) -> None:
        self.lags = lags
        self._loop = asyncio.get_running_loop()
        self._look_at_next()

    def _look_at_next(self) -> None:
        self._due = time.monotonic() + EVERY  # uvloop's own clock has stood still since the last turn
        self._handle = self._loop.call_later(EVERY, self._look)

    def _look(self) -> None:
        self.lags.add(max(0.0, time.monotonic() - self._due))
        self._look_at_next()

    def stop(self) -> None:
        self._handle.cancel()
