"""Starts thousands of rollouts a few at a time: in step, all their answers would come at the same moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

BATCH: Final = 8
SOON: Final = 256
"""Rollouts that start within a tenth of a second: so many at once are no strain."""
_PAUSE: Final = 0.002
_LONGER: Final = 0.01
"""Seconds between two batches, at least: 800 rollouts a second, the first 256 apart. A batch that takes long is
followed by as long a pause, so that half of the loop's time is left for what was started."""


async def ramp(count: int) -> AsyncIterator[int]:
    """The numbers below `count`, with a pause after every few of them."""
    for i in range(count):
        if i and i % BATCH == 0:
            started = time.monotonic()
            await asyncio.sleep(0)
            await asyncio.sleep(max(_PAUSE if i < SOON else _LONGER, time.monotonic() - started))
        yield i
