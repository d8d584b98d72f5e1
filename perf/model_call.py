"""CPU time of one model call beside a bare aiohttp loop, in one run: `python perf/model_call.py [--calls N]`.

The endpoint runs in a process of its own and is not counted. Prints milliseconds of this process per call, and
the ratio to the bare loop.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import aiohttp
import orjson
import uvloop

from gym_mcp.models.base import Request
from gym_mcp.models.spec import make_model

ENDPOINT = Path(__file__).resolve().parent.parent / "tests" / "endpoint.py"
PROMPT = [{"type": "message", "role": "user", "content": "What is two and two?"}]
Call = Callable[[], Awaitable[object]]


async def cpu_per_call(call: Call, calls: int, concurrency: int) -> float:
    """Milliseconds of CPU per call, after a warm-up of one call each."""
    numbers = iter(range(calls))

    async def worker() -> None:
        for _ in numbers:
            await call()

    await asyncio.gather(*(call() for _ in range(concurrency)))
    started = time.process_time()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return (time.process_time() - started) * 1000 / calls


async def measure(base_url: str, calls: int, concurrency: int, rounds: int) -> dict[str, float]:
    """Median over `rounds` interleaved rounds, so that a busy machine hits all alike."""
    responses = make_model("openai/m", base_url=base_url, concurrency=concurrency)
    chat = make_model("openai-chat/m", base_url=base_url, concurrency=concurrency)
    null = make_model("builtin/null")
    body = {"model": "m", "input": PROMPT, "store": False}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def bare() -> object:
            headers = {"Content-Type": "application/json"}
            async with session.post(f"{base_url}/responses", data=orjson.dumps(body), headers=headers) as answer:
                return orjson.loads(await answer.read())

        kinds: dict[str, Call] = {
            "bare loop": bare,
            "openai": lambda: responses.respond(Request(PROMPT)),
            "openai-chat": lambda: chat.respond(Request(PROMPT)),
            "builtin/null": lambda: null.respond(Request(PROMPT)),
        }
        found: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(rounds):
            for name, call in kinds.items():
                found[name].append(await cpu_per_call(call, calls, concurrency))
    for model in (responses, chat):
        await model.aclose()
    return {name: median(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    command = [sys.executable, str(ENDPOINT), "--fast"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            found = uvloop.run(measure(url, options.calls, options.concurrency, options.rounds))
        finally:
            server.terminate()
    print(f"{'':14}{'ms CPU/call':>12}{'x bare':>8}")
    for name, value in found.items():
        print(f"{name:14}{value:12.4f}{value / found['bare loop']:8.2f}")


if __name__ == "__main__":
    main()
