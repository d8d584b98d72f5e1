"""Experiments with real agents and a scripted model, which uses its skill in some tasks and does better there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.types import JSONObject
from tests.agents.kit import agent_processes, installed, offered, run
from tests.cli.support import COMMAND, process_env
from tests.coordinator.kit import read_lines
from tests.endpoint import Answer, Body, Endpoint, Reply, call, message, tool_outputs
from tests.skill_eval.kit import LAB

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
SKILL = """---
name: counting
description: How to count in the lab. Use when a counter has to be brought to a number.
---
# Counting

Count with a single call of `add`, whatever the number.
The whole amount is the number that the task names.
Say that it is done when the counter stands there.
"""
READING = {"Skill": {"skill": "counting"}, "exec_command": {"cmd": "cat $CODEX_HOME/skills/counting/SKILL.md"}}


def model(body: Body, n: int) -> Answer:
    """Reads the skill where it is offered and the target is odd; counts well where it has read it."""
    names, text, done = offered(body), json.dumps(body), len(tool_outputs(body))
    target = int(re.findall(r"Bring the counter to (\d+)", text)[0])
    reads = target % 2 == 1 and "How to count in the lab." in text
    if reads and done == 0:
        tool = next(name for name in names if name in READING)
        return Reply([call(tool, READING[tool], "read")])
    if done == (1 if reads else 0):
        amount = target if "single call of `add`" in text else 99
        return Reply([call(next(name for name in names if name.endswith("_add")), {"amount": amount}, "add")])
    return Reply([message("done")])


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    places = tmp_path / "places"
    places.mkdir()
    monkeypatch.setenv("TMPDIR", str(places))
    monkeypatch.setattr(tempfile, "tempdir", str(places))
    (tmp_path / "mine" / "counting").mkdir(parents=True)
    (tmp_path / "mine" / "counting" / "SKILL.md").write_text(SKILL)
    return tmp_path / "mine"


def command(mine: Path, harness: str, url: str, *more: str) -> list[str]:
    about = ("-e", str(LAB), "-H", harness, "-m", "openai-chat/m", "--base-url", url, "--max-attempts", "1")
    return [
        *COMMAND,
        "eval",
        "skills",
        *about,
        "--skills",
        f"{mine},none",
        "--out",
        str(mine.parent / "out"),
        *more,
    ]


@contextlib.asynccontextmanager
async def started(arguments: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    pipes: Any = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(*arguments, env=process_env(), **pipes)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def finished(arguments: list[str]) -> str:
    """What a command says on stdout; it must go well."""
    async with started(arguments) as process:
        out, err = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode == 0, err.decode()
        return out.decode()


def rows(out: Path, arm: str) -> dict[str, JSONObject]:
    return {row["task_id"]: row for row in read_lines(out / "runs" / arm / "rollouts.jsonl")}


def test_claude_code_loads_a_skill_in_some_tasks(mine: Path) -> None:
    installed("claude-code")

    async def experiment() -> str:
        async with Endpoint(model) as endpoint:
            return await finished(command(mine, "claude-code", endpoint.url, "--limit", "2", "--json"))

    found = json.loads(run(experiment))
    used, plain = rows(mine.parent / "out", "mine"), rows(mine.parent / "out", "none")
    assert {t: r["reward"] for t, r in used.items()} == {"t1": 1.0, "t2": 0.0}
    assert {r["reward"] for r in plain.values()} == {0.0}
    told = {t: r["harness_facts"]["skills"]["counting"] for t, r in used.items()}
    assert all(t["offered"]["turn"] == 1 for t in told.values())
    assert (told["t2"]["loaded"], told["t2"]["asked"]) == (None, None)
    asked, loaded = told["t1"]["asked"], told["t1"]["loaded"]
    assert (asked["where"], asked["turn"], loaded["turn"], loaded["share"]) == ("Skill", 1, 2, 1.0)
    assert 0 < asked["seconds"] < loaded["seconds"]
    for row in plain.values():
        assert row["harness_facts"]["skills"] == {} and "foreign_skills" not in row["harness_facts"]
    assert found["warnings"] == [] and found["arms"][1]["activation"]["loaded"]["value"] == 0.5
    treated = found["contrasts"][0]["as_treated"]
    assert (treated["loaded"]["difference"], treated["not_loaded"]["difference"]) == (1.0, 0.0)
    assert agent_processes() == []


def test_codex_reads_a_skill_by_its_shell_and_goes_on_after_a_kill(mine: Path) -> None:
    installed("codex")
    out = mine.parent / "out"
    journals = [out / "runs" / arm / "rollouts.jsonl" for arm in ("mine", "none")]

    async def killed(arguments: list[str]) -> None:
        async with started(arguments) as process:
            async with asyncio.timeout(60):
                while not all(path.exists() and path.stat().st_size for path in journals):
                    assert process.returncode is None
                    await asyncio.sleep(0.02)
            os.kill(process.pid, signal.SIGKILL)

    async def experiment() -> str:
        async with Endpoint(model) as endpoint:
            settings = ("--limit", "2", "--concurrency", "1", "--set", "harness_options.shell=true")
            arguments = command(mine, "codex", endpoint.url, *settings)
            await killed(arguments)
            before = [path.read_bytes().rpartition(b"\n")[0] for path in journals]
            assert all(before)
            (mine / "counting" / "SKILL.md").write_text("Gone.")
            text = await finished([*COMMAND, "eval", "skills", "--out", str(out), "-q"])
            assert all(path.read_bytes().startswith(rows) for path, rows in zip(journals, before, strict=True))
            return text

    text = run(experiment)
    used = rows(out, "mine")
    assert len(used) == len(rows(out, "none")) == 2
    loaded = {t: r["harness_facts"]["skills"]["counting"]["loaded"] for t, r in used.items()}
    assert loaded["t2"] is None and loaded["t1"]["where"] == "exec_command"
    assert "mine less none" in text and "where loaded" in text
    assert agent_processes() == [], "the killed command's agents are gone, too"
