"""Each way in which a rollout of an agent can go wrong: the right owner is named, no process is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from gym_mcp.harness import Limits
from gym_mcp.types import JSONObject
from tests.agents.kit import (
    FAST_AGENTS,
    Played,
    agent_processes,
    calling_as_offered,
    installed,
    offered,
    play,
    run,
)
from tests.endpoint import Answer, Body, Hang, Raw, Script, status
from tests.environments.chatty import Chatty

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
Given: TypeAlias = "Answer | Awaitable[Answer]"
STEPS = [("add", {"amount": 1}), ("add", {"amount": 2})]


def once_it_has_called(then: Any) -> Script:
    """A first call, and then what `then(body)` gives."""
    first = calling_as_offered(STEPS[:1])

    def script(body: Body, n: int) -> Given:
        return then(body) if n and offered(body) else first(body, n)

    return script


def agents_of(name: str) -> list[int]:
    """The agent's own processes: not the wardens, whose command line is ours."""
    program = str(installed(name).program)
    return [pid for pid in agent_processes() if program in _cmdline(pid)]


def _cmdline(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@pytest.mark.parametrize("name", FAST_AGENTS)
@pytest.mark.parametrize("contained", [False, True])
def test_a_killed_agent_is_the_harness_failure(name: str, contained: bool) -> None:
    installed(name)

    def kill(body: Body) -> Given:
        pids = [p for p in agent_processes() if "gym_mcp.agents.warden" not in _cmdline(p)]
        assert pids
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it went with one that was killed before it
                os.kill(pid, signal.SIGKILL)
        return Hang()

    got = run(lambda: play(name, once_it_has_called(kill), options={"contained": contained}))
    assert got.outcome == ("failed", None, "harness"), got.row["failure"]
    assert name in got.row["failure"]["message"] and len(got.row["ledger"]) == 1
    assert agent_processes() == []


@pytest.mark.parametrize("name", FAST_AGENTS)
@pytest.mark.parametrize("fault", [status(500, "boom"), status(401, "who are you"), Raw(b"not json")])
def test_a_failing_model_is_the_models_failure_and_ends_the_agent_at_once(name: str, fault: Raw) -> None:
    installed(name)
    got = run(lambda: play(name, once_it_has_called(lambda body: fault)))
    assert got.outcome == ("failed", None, "model"), got.row["failure"]
    assert len(got.bodies) == 2, "the agent was given the time to try again"
    assert got.row["timing"]["seconds"] < 30 and agent_processes() == []


@pytest.mark.parametrize("name", FAST_AGENTS)
def test_an_environment_that_breaks_is_the_environments_failure(name: str) -> None:
    installed(name)
    got = run(lambda: play(name, calling_as_offered([("crash", {}), ("add", {"amount": 3})])))
    assert got.outcome == ("failed", None, "environment"), got.row["failure"]
    assert len(got.bodies) <= 2 and agent_processes() == []


def test_an_environment_server_that_is_killed_is_the_environments_failure(tmp_path: Path) -> None:
    from gym_mcp.http import HTTPClient
    from gym_mcp.server.keys import read_key
    from tests.environments.lab import Lab
    from tests.servers import child

    installed("codex")
    lab = Path(__file__).parents[1] / "environments" / "lab.py"
    with child(tmp_path, [str(lab)]) as served:
        client = HTTPClient(
            served["environments"]["lab"]["operator_url"], read_key(Path(served["operator_key_file"]))
        )

        def kill(body: Body) -> Given:
            os.kill(served["pid"], signal.SIGKILL)
            return calling_as_offered(STEPS)(body, 1)

        got: Played = run(lambda: play("codex", once_it_has_called(kill), client=client, cls=Lab))
    assert got.outcome == ("failed", None, "environment"), got.row["failure"]
    assert agent_processes() == []


@pytest.mark.parametrize("name", FAST_AGENTS)
def test_a_gateway_that_is_closed_is_the_harness_failure(name: str) -> None:
    installed(name)
    closing: list[Any] = []

    def before(harness: Any, endpoint: Any) -> None:
        def close(body: Body, n: int) -> Any:
            if not n or not offered(body):
                return calling_as_offered(STEPS)(body, n)
            closing.append(asyncio.ensure_future(harness._gateway.aclose()))
            return Hang()

        endpoint.script = close

    got = run(lambda: play(name, calling_as_offered(STEPS), before=before))
    assert got.outcome == ("failed", None, "harness"), got.row["failure"]
    assert closing and agent_processes() == []


@pytest.mark.parametrize("name", FAST_AGENTS)
def test_the_rollouts_own_deadline_ends_a_hanging_agent(name: str) -> None:
    installed(name)
    got = run(lambda: play(name, once_it_has_called(lambda body: Hang()), limits=Limits(seconds=6)))
    assert got.outcome == ("failed", None, "timeout"), got.row["failure"]
    assert agent_processes() == []


@pytest.mark.parametrize("name", FAST_AGENTS)
def test_an_agent_that_never_looked_at_the_tools_is_no_zero(name: str) -> None:
    """Both exit well without tools when they cannot reach the server."""
    installed(name)

    def before(harness: Any, endpoint: Any) -> None:
        harness._relay._open = _Nowhere()

    got = run(lambda: play(name, calling_as_offered(STEPS), before=before))
    assert got.outcome == ("failed", None, "harness"), got.row["failure"]
    assert "tools" in got.row["failure"]["message"] and agent_processes() == []


class _Nowhere(dict[str, Any]):
    """The relay's sessions, none of which can be found."""

    def get(self, key: str, default: Any = None) -> Any:
        return None


def test_secrets_of_a_rollout_are_in_no_message(tmp_path: Path) -> None:
    shim = tmp_path / "claude"
    lines = [
        "#!/bin/sh",
        '[ "$1" = --version ] && echo 1.2.3 && exit',
        'echo "$ANTHROPIC_API_KEY $ANTHROPIC_BASE_URL" >&2',
        'cat "$HOME/mcp.json" >&2',
        "exit 7",
    ]
    shim.write_text("\n".join(lines) + "\n")
    shim.chmod(0o755)
    got = run(lambda: play("claude-code", calling_as_offered(STEPS), options={"binary": str(shim)}))
    failure: JSONObject = got.row["failure"]
    assert failure["kind"] == "harness" and "exit code 7" in failure["message"]
    assert "***" in failure["detail"] and "sk-gym-" not in str(failure) and str(tmp_path) not in failure["detail"]


def test_secrets_that_an_agent_tells_in_its_own_result_are_masked_too(tmp_path: Path) -> None:
    """It has seen its tools and its model, so that its own complaint is the message."""
    real, shim = installed("claude-code").program, tmp_path / "claude"
    told = '{"type":"result","is_error":true,"result":"%s %s"}\\n'
    lines = [
        "#!/bin/sh",
        '[ "$1" = --version ] && echo 1.2.3 && exit',
        f'{real} "$@" | grep -v "^{{.type.:.result"',
        f'printf \'{told}\' "$ANTHROPIC_API_KEY" "$ANTHROPIC_BASE_URL/v1"',
    ]
    shim.write_text("\n".join(lines) + "\n")
    shim.chmod(0o755)
    seen: list[str] = []

    def remember(harness: Any, endpoint: Any) -> None:
        opened = harness._gateway.open

        def opening(*args: Any, **options: Any) -> Any:
            session = opened(*args, **options)
            seen.extend((session.key, session.secret))
            return session

        harness._gateway.open = opening

    options = {"binary": str(shim)}
    got = run(lambda: play("claude-code", calling_as_offered(STEPS), options=options, before=remember))
    failure: JSONObject = got.row["failure"]
    assert failure["kind"] == "harness" and "reports an error" in failure["message"], failure
    assert "*** http://127.0.0.1" in failure["message"], failure
    assert len(seen) == 2 and not any(secret in str(failure) for secret in seen)


def test_no_secret_is_on_a_command_line() -> None:
    installed("claude-code"), installed("codex")
    seen: list[str] = []

    def look(body: Body) -> Given:
        seen.extend(_cmdline(pid) for pid in agent_processes())
        return calling_as_offered(STEPS)(body, 1)

    for name in FAST_AGENTS:
        run(play, name, once_it_has_called(look))
    assert seen and not any("sk-gym-" in line or "127.0.0.1" in line for line in seen)


def test_an_agent_without_conversations_refuses_environments_with_a_user() -> None:
    installed("gemini-cli")
    got = run(lambda: play("gemini-cli", calling_as_offered(STEPS), cls=Chatty))
    assert got.outcome == ("failed", None, "harness")
    assert "cannot go on with a conversation" in got.row["failure"]["message"] and got.bodies == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_evaluation_leaves_no_process(tmp_path: Path, number: int) -> None:
    from tests.faults.process import begin, endpoint, finish, read_until, until

    installed("claude-code")
    lab = Path(__file__).parents[1] / "environments" / "lab.py"
    home = {k: v for k, v in os.environ.items() if k == "XDG_CACHE_HOME"}
    with endpoint("--delay", 60) as url:
        flags = (
            "-m",
            "openai-chat/m",
            "--base-url",
            url,
            "-H",
            "claude-code",
            "--limit",
            3,
            "--out",
            tmp_path / "run",
        )
        process = begin("eval", "run", "-e", lab, *flags, **home)
        until(lambda: len(agent_processes()) >= 3, "three agents", 60)
        os.kill(process.pid, number)
        if number == signal.SIGINT:
            read_until(process, "again to give them up")  # two signals at once are one
            os.kill(process.pid, number)
        finish(process)
        until(lambda: agent_processes() == [], "their end", 30)
