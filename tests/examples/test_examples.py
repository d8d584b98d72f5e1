"""One scripted episode in every framework, each in an environment of its own: the same calls, the same reward."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from examples.drive import drive
from gym_mcp.hub import load_environment
from gym_mcp.types import JSONObject
from tests.endpoint import Endpoint, Reply, Script, call, in_turn, message
from tests.examples.venvs import python_for
from tests.servers import child, running

EXAMPLES = Path(__file__).parents[2] / "examples"
COUNTER = Path(__file__).parents[1] / "environments" / "counter.py"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/agent.py"))


def script(name: str, amounts: tuple[int, ...] = (1, 1)) -> Script:
    """Two calls and a last word; smolagents says its last word by a tool of its own."""
    calls = [Reply([call("add", {"amount": a}, f"call_{i}")]) for i, a in enumerate(amounts)]
    last = call("final_answer", {"answer": "done"}, "call_9") if name == "smolagents" else message("done")
    return in_turn(*calls, Reply([last]))


def play(name: str, python: Path, state: Path, amounts: tuple[int, ...] = (1, 1)) -> JSONObject:
    async def main() -> JSONObject:
        counter = load_environment(str(COUNTER))
        async with running(state, counter) as server, Endpoint(script(name, amounts)) as endpoint:
            command = [str(python), str(EXAMPLES / name / "agent.py")]
            return await drive(server.url, endpoint.url, command, key=server.key)

    return asyncio.run(main())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_the_same_episode_and_reward_in_every_framework(name: str, tmp_path: Path) -> None:
    python = python_for(EXAMPLES / name / "requirements.txt")
    got = play(name, python, tmp_path)
    assert (got["reward"], got["answer"]) == (1.0, "done")
    assert [(e["name"], e["arguments"], e["result"], e["error"]) for e in got["ledger"]] == [
        ("add", {"amount": 1}, "1", None),
        ("add", {"amount": 1}, "2", None),
    ]
    if name == "mcp_2x":  # the reward is the environment's, not the agent's
        assert play(name, python, tmp_path, (1, 2))["reward"] == 0.0


def test_every_example_is_pinned_documented_and_listed() -> None:
    assert len(NAMES) == 9
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert f"`{name}`" in listed
        assert (EXAMPLES / name / "README.md").read_text(encoding="utf-8").strip()
        for line in (EXAMPLES / name / "requirements.txt").read_text(encoding="utf-8").splitlines():
            assert re.fullmatch(r"[\w.-]+(\[[\w,]+\])?==[\w.]+", line), (name, line)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_driver_s_command_line_plays_an_episode_and_names_an_agent_that_fails(tmp_path: Path) -> None:
    async def run(*command: str) -> tuple[int | None, str, str]:
        with child(tmp_path, [str(COUNTER)]) as served:
            url = served["environments"]["counter"]["operator_url"]
            key = Path(served["operator_key_file"]).read_text().strip()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "examples.drive", url, "http://127.0.0.1:9/v1", "--", *command),
                cwd=EXAMPLES.parent,
                env={"GYM_MCP_OPERATOR_KEY": key, "PATH": ""},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(100):
                output, errors = await process.communicate()
            return process.returncode, output.decode(), errors.decode()

    code, output, _ = asyncio.run(run(sys.executable, "-c", "print('done')"))
    assert (code, json.loads(output)) == (0, {"reward": 0.0, "answer": "done", "ledger": []})
    code, _, errors = asyncio.run(run(sys.executable, "-c", "raise SystemExit('no model')"))
    assert code == 1 and "no model" in errors and "Traceback" not in errors
    code, _, errors = asyncio.run(run("no-such-python"))
    assert (code, errors.count("\n")) == (1, 1) and "no-such-python" in errors
