"""The real Claude Code and Codex, configured by what `connect` prints, in a whole episode."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.connect.commands import User, user
from tests.connect.messages import Script, endpoint
from tests.support import missing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CLAUDE: Final = "@anthropic-ai/claude-code@2.1.329"
CODEX: Final = "@openai/codex@0.169"
_INSTALL_SECONDS: Final = 240
_RUN_SECONDS: Final = 120


def installed(package: str, program: str) -> Path:
    """The program of an npm package, installed once into a cache of the tests; skips where that cannot be."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gym-mcp" / "test-agents"
    folder = base / package.replace("/", "+")
    found = folder / "node_modules" / ".bin" / program
    if not found.exists():
        if shutil.which("npm") is None:
            missing(f"{program} needs npm")
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-fund", "--no-audit", "--prefix", str(folder), package]
        try:
            done = subprocess.run(
                command, stdin=-3, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            missing(f"npm install {package} did not end")
        if done.returncode != 0:
            missing(f"npm install {package}: {done.stderr[-300:]}")
        script = folder / "node_modules" / "@anthropic-ai" / "claude-code" / "install.cjs"
        if script.exists():  # npm asks for leave to run it
            subprocess.run(
                ["node", str(script)], stdin=-3, capture_output=True, timeout=_INSTALL_SECONDS, check=True
            )
    return found


@pytest.fixture
def person(tmp_path: Path) -> Iterator[User]:
    with user(tmp_path) as found:
        found.environ.update(CLAUDE_CONFIG_DIR=str(found.home / "claude"), CODEX_HOME=str(found.home / "codex"))
        (found.home / "codex").mkdir()
        yield found


def shell(person: User, line: str, program: Path) -> str:
    """What a command line prints, run in the project folder as a user's shell would."""
    environ = {**person.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        line,
        shell=True,
        cwd=person.project,
        env=environ,
        stdin=-3,
        stdout=-1,
        stderr=-2,
        text=True,
        timeout=_RUN_SECONDS,
    )
    assert done.returncode == 0, (line, done.stdout)
    return done.stdout


def claude_says(
    person: User, program: Path, script: Script, prompt: str, name: str, server: dict[str, Any]
) -> str:
    """What Claude Code prints for a prompt, with one MCP server as its tools and a script as its model."""
    config = json.dumps({"mcpServers": {name: server}})
    command = [
        *(str(program), "-p", prompt, "--strict-mcp-config", "--mcp-config", config),
        *("--tools", "", "--allowedTools", f"mcp__{name}", "--output-format", "json", "--max-turns", "20"),
    ]

    async def main() -> str:
        async with endpoint(script) as url:
            environ = {
                **{k: v for k, v in person.environ.items() if not k.startswith(("ANTHROPIC", "CLAUDE_CODE"))},
                "ANTHROPIC_BASE_URL": url,
                "ANTHROPIC_API_KEY": "test",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            }
            process = await asyncio.create_subprocess_exec(
                *command, cwd=person.project, env=environ, stdin=-3, stdout=-1, stderr=-2
            )
            async with asyncio.timeout(_RUN_SECONDS):
                out, _ = await process.communicate()
            assert process.returncode == 0, out.decode()
            return out.decode()

    return asyncio.run(main())


def test_claude_takes_what_connect_prints(person: User) -> None:
    program = installed(CLAUDE, "claude")
    line = person.run("connect", "claude", "counter.py").stdout
    assert line.startswith("claude mcp add --transport http counter http://127.0.0.1:")
    shell(person, line, program)
    assert "Connected" in shell(person, "claude mcp list", program)


def test_claude_reads_the_file_that_connect_writes(person: User) -> None:
    program = installed(CLAUDE, "claude")
    person.run("connect", "claude", "counter.py", "--write")
    listed = shell(person, "claude mcp list", program)
    assert "counter: http://127.0.0.1:" in listed and "/seats/" in listed


def test_codex_takes_what_connect_prints_and_writes(person: User) -> None:
    program = installed(CODEX, "codex")
    url = person.connect("codex")["url"]
    shell(person, person.run("connect", "codex", "counter.py").stdout, program)
    assert url in shell(person, "codex mcp list", program)
    config = Path(person.environ["CODEX_HOME"], "config.toml")
    by_codex = config.read_text()
    person.run("connect", "codex", "counter.py", "--write")
    assert config.read_text() == by_codex, "Codex and connect write the same entry"
    config.unlink()
    person.run("connect", "codex", "counter.py", "--write")
    assert url in shell(person, "codex mcp list", program)


def test_claude_plays_two_tasks_at_one_url(person: User) -> None:
    program = installed(CLAUDE, "claude")
    about = person.connect("claude")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("get_task", {}),
        ("add", {"amount": 1}),
        ("submit", {"answer": "done"}),
        ("add", {"amount": 1}),
        ("next_task", {}),
        ("get_task", {}),
        ("add", {"amount": 5}),
        ("submit", {}),
    ]
    script = Script([(f"mcp__counter__{name}", arguments) for name, arguments in calls])
    server = {"type": "http", "url": about["url"]}
    assert "All done." in claude_says(person, program, script, "/mcp__counter__task", "counter", server)
    told = script.seen()
    assert "Reach 1." in json.dumps(script.requests[0]), "the prompt did not bring the task"
    assert "Score: 1 " in told and "This episode is over (score 1)" in told and "Reach 2." in told
    assert "Score: 0 " in told
    rows = person.rows(about["run"])
    assert [(r["task_id"], r["outcome"], r["reward"]) for r in rows] == [
        ("t1", "scored", 1.0),
        ("t2", "scored", 0.0),
    ]
    assert [e["name"] for e in rows[0]["ledger"]] == ["add"]
    assert shlex.split(person.run("disconnect").stdout.splitlines()[-1])[-1] == about["run"]
