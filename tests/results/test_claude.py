"""The real Claude Code over a run, added by the command that the docs give."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.connect.commands import user
from tests.connect.messages import Script
from tests.connect.test_agents import CLAUDE, claude_says, installed, shell
from tests.diagnosis.runs import office_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TRUE: Final = "Of 80 rollouts, 54 passed [claim: rollouts() = 80] [claim: rollouts(passed) = 54]."


def test_claude_explains_a_run_and_has_a_claim_checked(tmp_path: Path) -> None:
    program = installed(CLAUDE, "claude")
    office = office_run(tmp_path / "office")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("list_runs", {}),
        ("summary", {"run": "office"}),
        ("find_rollouts", {"run": "office", "where": "not passed", "limit": 1}),
        ("check_claims", {"run": "office", "text": TRUE}),
        ("check_claims", {"run": "office", "text": TRUE.replace("54 passed", "64 passed")}),
        ("summary", {"run": "../office"}),
    ]
    script = Script([(f"mcp__results__{name}", arguments) for name, arguments in calls])
    with user(tmp_path) as person:
        person.environ.update(CLAUDE_CONFIG_DIR=str(person.home / "claude"))
        serve = [sys.executable, "-m", "gym_mcp.cli.main", "results", "serve", str(office)]
        shell(person, f"claude mcp add results -- {shlex.join(serve)}", program)
        assert "Connected" in shell(person, "claude mcp list", program)

        server = {"command": serve[0], "args": serve[1:]}
        assert "All done." in claude_says(person, program, script, "/mcp__results__blade", "results", server)
    first = json.dumps(script.requests[0])
    assert "Explain the score of the run (office)" in first, "the prompt did not bring the skill"
    offered = {t["name"] for t in script.requests[0]["tools"]}
    assert {f"mcp__results__{name}" for name in ("list_runs", "query", "reverify")} <= offered
    results = [
        told if isinstance(told := block["content"], str) else told[0]["text"]
        for message in script.requests[-1]["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    runs, summary, found, true, false, stranger = results
    assert [r["name"] for r in json.loads(runs)] == ["office"]
    assert json.loads(summary)["counts"]["scored"] == 80
    assert json.loads(found)["count"] == 26
    assert json.loads(true)["problems"] == []
    assert [p["kind"] for p in json.loads(false)["problems"]] == ["number", "number"]
    assert "no run `../office`" in stranger
