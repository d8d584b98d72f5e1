"""docs/protocol.md says what the operator plane does, and its snippets run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.hub import load_environment
from gym_mcp.server.operator import _LISTED
from tests.servers import child, running

DOC = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
COUNTER = Path(__file__).parents[1] / "environments" / "counter.py"


def snippet(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", DOC, re.DOTALL)
    assert found is not None
    return found[1]


def test_every_tool_argument_and_result_is_documented() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", DOC.partition("## Operator plane")[2], re.MULTILINE))
    assert {tool.name for tool in _LISTED} <= set(rows)
    for tool in _LISTED:
        schema = tool.output_schema or {}
        for name in (*tool.input_schema["properties"], *schema["properties"]):
            assert f"`{name}`" in rows[tool.name], (tool.name, name)


def test_the_python_snippet_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {}
    exec(compile(snippet("python"), "protocol.md", "exec"), scope)

    async def main() -> float:
        counter = load_environment(str(COUNTER))
        async with asyncio.timeout(30), running(tmp_path, counter) as server:
            reward: float = await scope["evaluate"](f"{server.url}/operator/mcp", server.key)
            return reward

    assert asyncio.run(main()) == 0.0
    assert capsys.readouterr().out == "['add', 'read']\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_snippet_runs(tmp_path: Path) -> None:
    with child(tmp_path, [str(COUNTER)]) as served:
        url = served["environments"]["counter"]["operator_url"]
        key = Path(served["operator_key_file"]).read_text().strip()
        environ = {**os.environ, "URL": url, "KEY": key}
        done = subprocess.run(
            ["sh", "-c", snippet("sh")], env=environ, capture_output=True, timeout=20, check=True
        )
    assert json.loads(done.stdout)["result"]["structuredContent"]["name"] == "counter"
