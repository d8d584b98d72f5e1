"""Starts thousands of rollouts a few at a time: in step, all their answers would come at the same moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

BATCH: Final = 8
_LEAST: Final = 0.002
"""Seconds between two batches, at least; more when a batch takes more, so that half of the loop's time is left."""


async def ramp(count: int) -> AsyncIterator[int]:
    """The numbers below `count`, with a pause after every few of them."""
    for i in range(count):
        if i and i % BATCH == 0:
            started = time.monotonic()
            await asyncio.sleep(0)
            await asyncio.sleep(max(_LEAST, time.monotonic() - started))
        yield i
