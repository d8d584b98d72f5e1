"""The scripted endpoint itself, in this process and in one of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.errors import ModelError
from gym_mcp.models.base import Model, Request
from gym_mcp.models.spec import make_model
from gym_mcp.types import Item, text_of, user_message
from tests.endpoint import Endpoint, Script, calling, malformed_arguments, parallel, unknown_tool

PROGRAM = Path(__file__).with_name("endpoint.py")
CALLS: list[tuple[str, Any]] = [("add", {"amount": 1}), ("read", {})]


async def converse(url: str, dialect: str) -> list[str]:
    """What a tool loop sees: calls as `name arguments`, and texts. Every call is answered with `ok`."""
    model = make_model(f"{dialect}/m", base_url=url, max_retries=0)
    try:
        return await tool_loop(model)
    finally:
        await model.aclose()


async def tool_loop(model: Model) -> list[str]:
    items: list[Item] = [user_message("go")]
    seen: list[str] = []
    for _ in range(5):
        output = (await model.respond(Request(items))).output
        items += output
        calls = [i for i in output if i["type"] == "function_call"]
        seen += [f"{c['name']} {c['arguments']}" for c in calls]
        seen += [text_of(i) for i in output if i["type"] == "message"]
        items += [{"type": "function_call_output", "call_id": c["call_id"], "output": "ok"} for c in calls]
        if not calls:
            break
    return seen


@contextmanager
def process(*options: str) -> Iterator[str]:
    """The URL of an endpoint in a process of its own."""
    with subprocess.Popen([sys.executable, str(PROGRAM), *options], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


@pytest.mark.parametrize("dialect", ["openai", "openai-chat"])
@pytest.mark.parametrize(
    ("script", "seen"),
    [
        (calling(CALLS, "done"), ['add {"amount":1}', "read {}", "done"]),
        (parallel(CALLS, "done"), ['add {"amount":1}', "read {}", "done"]),
        (unknown_tool(), ["no_such_tool {}", "done"]),
        (malformed_arguments("add"), ['add {"amount": ', "done"]),
    ],
)
def test_scripts(dialect: str, script: Script, seen: list[str]) -> None:
    async def main() -> list[str]:
        async with Endpoint(script) as endpoint, asyncio.timeout(10):
            return await converse(endpoint.url, dialect)

    assert asyncio.run(main()) == seen


@pytest.mark.parametrize("options", [("--fast",), (), ("--delay", "0.01"), ("--parallel",)])
def test_on_its_own(options: tuple[str, ...]) -> None:
    with process("--calls", '[["add", {"amount": 1}], ["read", {}]]', "--final", "end", *options) as url:
        for dialect in ("openai", "openai-chat"):
            assert asyncio.run(converse(url, dialect)) == ['add {"amount":1}', "read {}", "end"]


def test_faults_on_its_own() -> None:
    with process("--fault", "503", "--first", "1") as url:
        with pytest.raises(ModelError, match="503"):
            asyncio.run(converse(url, "openai"))
        assert asyncio.run(converse(url, "openai")) == ["done"]
