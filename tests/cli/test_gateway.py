"""`gym-mcp gateway`: what it prints, what it serves, what it writes down."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import COMMAND, process_env

pytestmark = pytest.mark.slow  # real processes, or searches that take their time

HELLO = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}


@contextmanager
def gateway(*arguments: str, **variables: str) -> Iterator[dict[str, str]]:
    """A running gateway: the four lines that it printed, by their first word."""
    command = [*COMMAND, "gateway", *arguments]
    environ = process_env(variables)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline().split(maxsplit=1) for _ in range(4)]
            yield {name: value.strip() for name, value in lines}
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


def post(url: str, key: str, body: Any) -> Any:
    headers = {"Content-Type": "application/json", "x-api-key": key}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def test_it_prints_the_addresses_and_serves_all_dialects(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    with gateway("-m", "builtin/null", "--log", str(log)) as printed:
        key = printed["key"]
        assert set(printed) == {"Anthropic", "OpenAI", "Gemini", "key"}
        assert printed["OpenAI"] == printed["Anthropic"] + "/v1"
        assert post(f"{printed['Anthropic']}/v1/messages", key, HELLO)["type"] == "message"
        assert post(f"{printed['OpenAI']}/chat/completions", key, HELLO)["object"] == "chat.completion"
        assert post(f"{printed['OpenAI']}/responses", key, {"input": "hi"})["object"] == "response"
        contents = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
        assert "candidates" in post(f"{printed['Gemini']}/v1beta/models/m:generateContent", key, contents)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["call"]["dialect"] for line in lines if "call" in line] == [
        *("messages", "chat", "responses", "gemini"),
    ]
    assert len([line for line in lines if "node" in line]) == 2  # the same words, once
    assert log.stat().st_mode & 0o777 == 0o600
    assert key not in log.read_text()


def test_a_key_of_the_environment_is_not_printed() -> None:
    with gateway("-m", "builtin/null", GYM_MCP_GATEWAY_KEY="my-own-key") as printed:
        assert printed["key"] == "from GYM_MCP_GATEWAY_KEY"
        assert "my-own-key" not in str(printed)
        post(f"{printed['OpenAI']}/responses", "my-own-key", {"input": "hi"})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "nobody/model"], "no provider `nobody`"),
        (["-m", "builtin/null", "--set", "temperature=1"], "sampling.KEY=VALUE is expected"),
        (["-m", "builtin/null", "--log", "/nowhere/at/all"], "/nowhere/at/all"),
        ([], "Missing option"),
    ],
)
def test_mistakes_get_one_line(arguments: list[str], words: str) -> None:
    command = [*COMMAND, "gateway", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=process_env(), check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
