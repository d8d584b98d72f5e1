"""A model endpoint for load: `python -m perf.slow_endpoint --delay 2 --jitter 0.2 --every 50 --calls '[...]'`.

Answers are made beforehand and come after `delay` seconds, give or take `jitter` of it; each `every`-th is a 500.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random

import orjson
import uvloop

from tests.endpoint import FastProtocol, serve_fast

_FAULT = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
_random = random.Random(1)
_numbers = itertools.count(1)


class _Delayed:
    """A transport that writes later."""

    def __init__(self, transport: asyncio.Transport, delay: float, jitter: float, every: int) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._settings = delay, jitter, every

    def write(self, data: bytes) -> None:
        delay, jitter, every = self._settings
        answer = _FAULT if every and next(_numbers) % every == 0 else data
        self._loop.call_later(delay * _random.uniform(1 - jitter, 1 + jitter), self._transport.write, answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=2.0)
    parser.add_argument("--jitter", type=float, default=0.0)
    parser.add_argument("--every", type=int, default=0)
    parser.add_argument("--calls", type=orjson.loads, default=[])
    options = parser.parse_args()
    made = FastProtocol.connection_made

    def connection_made(self: FastProtocol, transport: asyncio.Transport) -> None:
        made(self, _Delayed(transport, options.delay, options.jitter, options.every))

    FastProtocol.connection_made = connection_made  # type: ignore[method-assign]
    uvloop.run(serve_fast(0, options.calls, "done"))


if __name__ == "__main__":
    main()
