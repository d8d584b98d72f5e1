"""`gym-mcp serve` as a person or a script runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gym_mcp.cli.serve import serve
from gym_mcp.errors import JudgeError, UsageError
from gym_mcp.http import HTTPClient
from gym_mcp.types import GroupRollout, Reward, Task, Transcript
from tests.conformance.run import open_url
from tests.servers import LADDER, child, serve_command
from tests.support import run


def test_what_a_script_is_told(tmp_path: Path) -> None:
    with child(tmp_path) as served:
        assert set(served) == {"environments", "operator_key_file", "pid"}
        endpoints = served["environments"]["ladder"]
        origin = endpoints["operator_url"].removesuffix("/ladder/operator/mcp")
        assert endpoints["agent_url"] == f"{origin}/ladder/episodes/{{handle}}/mcp"
        key_file = Path(served["operator_key_file"])
        assert key_file.parent == tmp_path / "gym-mcp" and key_file.stat().st_mode & 0o777 == 0o600
        with urllib.request.urlopen(f"{origin}/healthz", timeout=10) as answer:
            assert (answer.status, answer.read()) == (200, b"ok")
        assert open_url(served).startswith(f"{origin}/ladder/episodes/")
    assert not key_file.exists()


def test_a_served_environment_has_a_judge(tmp_path: Path) -> None:
    replies = tmp_path / "replies.jsonl"
    replies.write_text('{"task": "t", "reply": "the first"}\n')
    grouped = LADDER.parent / "grouped.py"
    members = [GroupRollout(i, Transcript(), Reward(1.0)) for i in range(2)]

    async def play(served: dict[str, Any]) -> list[float]:
        url = served["environments"]["grouped"]["operator_url"].removesuffix("/operator/mcp")
        async with HTTPClient(url, Path(served["operator_key_file"]).read_text().strip()) as client:
            verdict = await client.verify_group(Task("t", data={"group": "judge"}), members)
            with pytest.raises(JudgeError, match="no recorded reply is left"):
                await client.verify_group(Task("t", data={"group": "judge"}), members)
            return [reward.score for reward in verdict.rewards]

    with child(tmp_path, [str(grouped), "--judge", f"replay:{replies}"]) as served:
        assert run(play, served) == [0.5, 0.5]


def test_neither_key_nor_handle_is_ever_printed(tmp_path: Path) -> None:
    command = serve_command(str(LADDER), "--http", "127.0.0.1:0", "--json", "--record", str(tmp_path / "calls"))
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ)
    assert server.stdout is not None
    line = server.stdout.readline()
    served = json.loads(line)
    key = Path(served["operator_key_file"]).read_text().strip()
    url = open_url(served)
    handle = url.split("/")[-2]
    for path in (url, url + "x"):
        asked = urllib.request.Request(path, b"{", {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(asked, timeout=10)
    server.send_signal(signal.SIGTERM)
    out, err = server.communicate(timeout=20)
    assert server.returncode == 0
    printed = (line + out + err).decode()
    assert key not in printed and handle not in printed
    assert f"operator key: {served['operator_key_file']}" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--http", "nowhere"], "--http nowhere: expected HOST:PORT"),
        (["--http", "127.0.0.1:99999"], "expected HOST:PORT"),
        (["--http", "256.0.0.1:1"], "cannot listen on 256.0.0.1:1"),
        (["--task", "t1"], "--task works with --stdio only"),
        (["--stdio", "--json"], "--json works without --stdio only"),
        (["--stdio", "--operator", "--task", "t1"], "--task and --seed are for the agent plane"),
        (["--stdio", "--task", "t9"], "no task `t9`"),
        (["--stdio", str(LADDER)], "--stdio serves one environment"),
        (["--set", "x=1"], "expected env.KEY=VALUE"),
        (["--set", "env.nope=1"], "no option `nope`"),
        (["--input", "missing.jsonl"], "missing.jsonl"),
        (["--http", "0.0.0.0:0", "--operator-http", "127.0.0.1:0"], "--operator-http needs --http to name"),
        ([str(LADDER), "--http", "127.0.0.1:0"], "same name"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    result = CliRunner(env={"XDG_STATE_HOME": str(tmp_path)}).invoke(serve, [str(LADDER), *arguments])
    assert isinstance(result.exception, UsageError), result
    assert words in str(result.exception) and "\n" not in str(result.exception)


def test_a_row_that_does_not_fit_is_told_at_the_start(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "a", "data": {"target": 1}}\n{"id": "b", "prompt": 3}\n')
    result = CliRunner().invoke(serve, [str(LADDER), "--input", str(rows)])
    assert isinstance(result.exception, UsageError)
    assert str(result.exception).startswith(f"{rows}:2: prompt")


def test_the_help_says_how() -> None:
    text = CliRunner().invoke(serve, ["--help"]).output
    assert "gym-mcp serve counter.py" in text and "mcpServers" in text and "GYM_MCP_OPERATOR_KEY" in text
