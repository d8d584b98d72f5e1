"""The bare loop: what an episode costs with nothing but HTTP and JSON. The floor that `overhead.py` divides by."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import aiohttp
import orjson
import uvloop

from gym_mcp.lag import LagProbe, Lags

TOOL = {
    "type": "function",
    "name": "add",
    "description": "Add `amount` to the counter and return its new value.",
    "parameters": {
        "type": "object",
        "properties": {"amount": {"type": "integer"}},
        "required": ["amount"],
        "additionalProperties": False,
    },
    "strict": False,
}


async def ask(session: aiohttp.ClientSession, url: str, items: list[Any], tools: list[Any]) -> list[Any]:
    body = orjson.dumps({"model": "scripted", "input": items, "tools": tools})
    async with session.post(url, data=body, headers={"content-type": "application/json"}) as response:
        answer = orjson.loads(await response.read())
    output: list[Any] = answer["output"]
    return output


async def episode(session: aiohttp.ClientSession, url: str, tools: list[Any], expected: Any) -> bool:
    items: list[Any] = [{"type": "message", "role": "user", "content": "Go."}]
    value = 0
    while True:
        output = await ask(session, url, items, tools)
        items += output
        calls = [item for item in output if item["type"] == "function_call"]
        if not calls:
            said = output[0]["content"][0]["text"]
            return bool(value == expected if tools else said == expected)
        for call in calls:
            value += orjson.loads(call["arguments"])["amount"]
            items.append({"type": "function_call_output", "call_id": call["call_id"], "output": str(value)})


async def main(url: str, work: str, count: int, concurrency: int) -> None:
    tools, expected = ([TOOL], 3) if work == "tools" else ([], "done")
    todo = iter(range(count))
    passed = 0

    lags = Lags()
    probe = LagProbe(lags)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def worker() -> None:
            nonlocal passed
            for _ in todo:
                ok = await episode(session, f"{url}/responses", tools, expected)
                passed += ok  # not `passed += await ...`: that reads `passed` before the wait

        await asyncio.gather(*(worker() for _ in range(min(concurrency, count))))
    probe.stop()
    if passed != count:
        sys.exit(f"only {passed} of {count} passed")
    print(orjson.dumps(lags.as_json()).decode())


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
