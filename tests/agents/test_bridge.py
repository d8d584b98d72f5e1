"""An episode's tools from a shell: what is sent, what is printed, and how it ends."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.agents import bridge
from gym_mcp.agents.agent import Link
from gym_mcp.agents.place import new_place
from gym_mcp.agents.shell import bridge_environment, put_bridge, with_tools
from gym_mcp.direct import DirectClient
from gym_mcp.types import ToolSpec
from tests.agents.test_relay import NEW, relaying
from tests.environments.lab import Lab
from tests.environments.ladder import PIXEL
from tests.support import run

SCHEMA: dict[str, Any] = {
    "properties": {
        "count": {"type": "integer"},
        "note": {"type": "string"},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "codes": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
        "some_flag": {"type": "boolean"},
        "any": {},
    }
}


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("--count 3", {"count": 3}),
        ("--count=-3", {"count": -3}),
        ("--count many", {"count": "many"}),
        ("--note 3", {"note": "3"}),
        ("--note true", {"note": "true"}),
        ("--maybe null", {"maybe": None}),
        ("--maybe 7", {"maybe": "7"}),
        ("--tags a --tags b", {"tags": ["a", "b"]}),
        ('--tags ["a","b"]', {"tags": ["a", "b"]}),
        ("--tags 5 --tags null", {"tags": ["5", "null"]}),
        ('--tags ["a","b"] --tags c', {"tags": ["a", "b", "c"]}),
        ("--codes 5 --codes 6", {"codes": [5, 6]}),
        ("--codes null", {"codes": None}),
        ("--codes many", {"codes": ["many"]}),
        ("--some-flag --count 1", {"some_flag": True, "count": 1}),
        ("--some_flag false", {"some_flag": False}),
        ('--any {"a":1}', {"any": {"a": 1}}),
        ("--any word", {"any": "word"}),
        ("--unknown 1", {"unknown": 1}),
        ('{"count":1,"x":[2]}', {"count": 1, "x": [2]}),
        ("", {}),
    ],
)
def test_arguments(words: str, arguments: dict[str, Any]) -> None:
    assert bridge.read({"inputSchema": SCHEMA}, words.split()) == arguments


@pytest.mark.parametrize("words", ["count 3", "[1]", "{", "3", "--count 1 x"])
def test_words_that_are_no_arguments(words: str) -> None:
    with pytest.raises(bridge.Mistake):
        bridge.read({"inputSchema": SCHEMA}, words.split())


async def shell(url: str | None, *words: str, program: list[str] | None = None) -> tuple[int | None, str, str]:
    env = {"PATH": os.environ["PATH"], **({bridge.VARIABLE: url} if url else {})}
    command = [*(program or [sys.executable, "-ISB", bridge.__file__]), *words]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=env)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def test_calls_through_the_relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        async with relaying(DirectClient(Lab), NEW) as (relayed, _):
            url = relayed.url
            code, listed, _err = await shell(url, "tools")
            assert code == 0 and "gym-mcp call add --amount INTEGER\n    Add to the counter." in listed
            assert "    --amount: How much." in listed and relayed.seen
            assert await shell(url, "call", "add", "--amount", "2") == (0, "2\n", "")
            assert await shell(None, "call", url, "add", '{"amount": 1}') == (0, "3\n", "")
            code, said, _err = await shell(url, "call", "refuse")
            assert (code, said) == (1, 'refused: <because> it says "no"\n')
            code, said, _err = await shell(url, "call", "no_such_tool")
            assert code == 1 and "Unknown tool" in said
            code, said, _err = await shell(url, "call", "picture")
            (image,) = tmp_path.glob("image-*.png")
            assert code == 0 and image.name in said and image.read_bytes() == PIXEL
            assert [c.name for c in relayed.calls] == ["add", "add", "refuse", "no_such_tool", "picture"]
            gym_mcp = [sys.executable, "-m", "gym_mcp.cli.main"]
            assert await shell(url, "call", "add", "--amount", "1", program=gym_mcp) == (0, "4\n", "")
        code, _, err = await shell(url, "tools")
        assert code == 2 and "cannot be reached" in err

    run(main)


def test_wrong_usage_is_told() -> None:
    async def main() -> None:
        for words in ((), ("call",), ("fly", "add"), ("tools", "x")):
            code, out, err = await shell("http://127.0.0.1:9/x", *words)
            assert (code, out) == (2, "") and "usage" in err
        code, _, err = await shell(None, "call", "add")
        assert code == 2 and bridge.VARIABLE in err

    run(main)


def test_the_command_that_agents_get_is_one_file_of_its_own() -> None:
    spec = ToolSpec("add", "Add.", {"properties": {"amount": {"type": "integer"}}, "required": ["amount"]})
    link = Link("http://m", "k", "m", "http://127.0.0.1:9/x/mcp", [spec])
    assert "gym-mcp call add --amount INTEGER" in with_tools("Do it.", link.tools)
    assert with_tools("Do it.", ()) == "Do it."
    assert bridge_environment(link) == {"GYM_MCP_URL": "http://127.0.0.1:9/x/mcp"}
    with new_place() as place:
        put_bridge(place)
        code, _, err = run(lambda: shell(None, "tools", program=[str(place.bin / "gym-mcp")]))
        assert code == 2 and "no episode" in err
