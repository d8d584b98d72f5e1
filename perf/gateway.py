"""What a call through the gateway costs this process, beside the floor: the same HTTP server with a fixed answer.

Clients run in a child process, so that only the server's CPU is counted. The model answers at once. Each
conversation has `--turns` turns behind it, which is what the converters and the message graph have to work on.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from statistics import median
from typing import Any

import aiohttp
import orjson
import uvloop
from aiohttp import web

from gym_mcp.gateway import Gateway
from gym_mcp.models.base import Model, Request, Response, Usage
from gym_mcp.types import assistant_message

SCHEMA = {"type": "object", "properties": {"amount": {"type": "integer"}}}
TEXT = "A tool's result of a usual length, which says how the world stands after the call. " * 5
PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}


class Instant(Model):
    """Answers at once."""

    spec = "instant/model"

    async def respond(self, request: Request) -> Response:
        return Response([assistant_message("done")], Usage(10, 5, calls=1), id="r")


def body(dialect: str, turns: int, stream: bool) -> bytes:
    """A request with `turns` calls and their results behind it, of one dialect."""
    steps = range(turns)
    value: dict[str, Any] = {"model": "m", "stream": stream}
    user: Any = {"role": "user", "content": "Count."}
    if dialect == "messages":
        value |= {"max_tokens": 100, "tools": [{"name": "add", "input_schema": SCHEMA}], "messages": [user]}
        for i in steps:
            use = {"type": "tool_use", "id": f"c{i}", "name": "add", "input": {"amount": i}}
            result = {"type": "tool_result", "tool_use_id": f"c{i}", "content": TEXT}
            value["messages"] += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    elif dialect == "chat":
        function = {"name": "add", "parameters": SCHEMA}
        value |= {"tools": [{"type": "function", "function": function}], "messages": [user]}
        for i in steps:
            call = {
                "id": f"c{i}",
                "type": "function",
                "function": {"name": "add", "arguments": f'{{"amount":{i}}}'},
            }
            value["messages"].append({"role": "assistant", "content": None, "tool_calls": [call]})
            value["messages"].append({"role": "tool", "tool_call_id": f"c{i}", "content": TEXT})
    else:
        value |= {"tools": [{"type": "function", "name": "add", "parameters": SCHEMA}], "input": [user]}
        for i in steps:
            call = {"type": "function_call", "call_id": f"c{i}", "name": "add", "arguments": f'{{"amount":{i}}}'}
            value["input"] += [call, {"type": "function_call_output", "call_id": f"c{i}", "output": TEXT}]
    return orjson.dumps(value)


async def drive(url: str, key: str, dialect: str, turns: int, stream: bool, calls: int, concurrency: int) -> None:
    """The client: `calls` requests, `concurrency` at a time."""
    data, numbers = body(dialect, turns, stream), iter(range(calls))
    headers = {"Content-Type": "application/json", "x-api-key": key}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def worker() -> None:
            for _ in numbers:
                async with session.post(url, data=data, headers=headers) as answer:
                    await answer.read()
                    assert answer.status == 200

        await asyncio.gather(*(worker() for _ in range(concurrency)))


async def cpu(url: str, key: str, dialect: str, turns: int, stream: bool, calls: int, concurrency: int) -> float:
    """Milliseconds of this process's CPU for each call of a client process."""
    arguments = [url, key, dialect, str(turns), str(int(stream)), str(calls), str(concurrency)]
    started = time.process_time()
    child = await asyncio.create_subprocess_exec(sys.executable, __file__, "--client", *arguments)
    if await child.wait():
        sys.exit("the client failed")
    return (time.process_time() - started) * 1000 / calls


async def fixed(request: web.Request) -> web.Response:
    """The floor: the body is parsed, the answer is always the same."""
    orjson.loads(await request.read())
    return web.Response(body=b'{"choices": []}', content_type="application/json")


async def main(options: argparse.Namespace) -> None:
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/{path:.*}", fixed)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    floor = f"http://127.0.0.1:{runner.addresses[0][1]}"
    found: dict[str, list[float]] = {}
    async with Gateway() as gateway:
        for _ in range(options.rounds):
            for dialect, path in PATHS.items():
                rest = (options.turns, False, options.calls, options.concurrency)
                bare = await cpu(floor, "", dialect, *rest)
                found.setdefault(f"floor {dialect}", []).append(bare)
                for stream in (False, True):
                    session = gateway.open(Instant())
                    rest = (options.turns, stream, options.calls, options.concurrency)
                    cost = await cpu(session.base_url + path, session.key, dialect, *rest)
                    name = f"{dialect}{' stream' if stream else ''}"
                    found.setdefault(name, []).append(cost)
                    await session.aclose()
    await runner.cleanup()
    print(f"{'':20}{'ms CPU/call':>12}{'x floor':>9}")
    for name, values in found.items():
        dialect = name.removeprefix("floor ").partition(" ")[0]
        print(f"{name:20}{median(values):12.3f}{median(values) / median(found[f'floor {dialect}']):9.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        url, key, dialect, *numbers = sys.argv[2:]
        turns, stream, calls, concurrency = map(int, numbers)
        uvloop.run(drive(url, key, dialect, turns, bool(stream), calls, concurrency))
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--calls", type=int, default=1_000)
        parser.add_argument("--turns", type=int, default=10)
        parser.add_argument("--concurrency", type=int, default=64)
        parser.add_argument("--rounds", type=int, default=3)
        uvloop.run(main(parser.parse_args()))
