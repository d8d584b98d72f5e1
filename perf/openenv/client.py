"""A batch of OpenEnv episodes at once, by its own client: connect, reset, step, close; a line of JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop
from openenv.core import GenericEnvClient


async def episode(url: str, seconds: float) -> float | None:
    """Seconds that it took; None when it failed."""
    started = time.perf_counter()
    try:
        async with GenericEnvClient(base_url=url, connect_timeout_s=60.0, message_timeout_s=60.0) as env:
            await env.reset()
            result = await env.step({"seconds": seconds})
            if result.observation["waited"] != seconds:
                return None
    except Exception:  # whatever it is, the episode failed
        return None
    return time.perf_counter() - started


async def main(url: str, size: int, seconds: float) -> None:
    started = time.perf_counter()
    found = await asyncio.gather(*(episode(url, seconds) for _ in range(size)))
    print(json.dumps({"wall": time.perf_counter() - started, "took": [t for t in found if t is not None]}))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
