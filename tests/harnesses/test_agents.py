"""What holds for the file of every harness that runs an agent, without running it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gym_mcp import hub
from gym_mcp.agents.agent import Agent, AgentOptions, Launch, Link, Turn
from gym_mcp.agents.place import new_place
from gym_mcp.agents.skills import load_skills
from gym_mcp.cli import harness as verbs
from gym_mcp.errors import UsageError
from gym_mcp.types import ToolSpec
from tests.agents.kit import play, run
from tests.endpoint import fixed

ROOT = Path(__file__).resolve().parents[2]
AGENTS = [e.name for e in hub.entries("harness") if "gym_mcp.agents.agent" in e.path.read_text(encoding="utf-8")]
KEY, SECRET = "sk-gym-secret", "secret-path"
LINK = Link(
    f"http://127.0.0.1:1/{SECRET}", KEY, "m", f"http://127.0.0.1:2/{SECRET}/mcp", [ToolSpec("add", "", {})]
)


def agent_of(name: str) -> Agent:
    made: Agent = verbs._agent(name)()
    return made


def launched(name: str, *, skills: bool = False, shell: bool = False, session: str | None = None) -> Launch:
    agent, options = agent_of(name), AgentOptions(shell=shell)
    with new_place() as place:
        agent.prepare(place, LINK, options, skills=skills)
        turn = Turn("Do it.", session, keep=session is not None, skills=skills)
        found = agent.launch(place, LINK, turn, options)
        for file in place.shown.rglob("*"):
            assert not file.is_file() or file.stat().st_mode & 0o077 == 0, f"{file} can be read by others"
        return found


def test_all_seven_are_there() -> None:
    expected = {"claude-code", "codex", "opencode", "gemini-cli", "qwen-code", "openhands", "mini-swe-agent"}
    assert set(AGENTS) >= expected


@pytest.mark.parametrize("name", AGENTS)
def test_no_secret_is_on_the_command_line(name: str) -> None:
    for launch in (launched(name), launched(name, shell=True), launched(name, skills=True, session="s1")):
        assert KEY not in str(launch.arguments) and SECRET not in str(launch.arguments)


@pytest.mark.parametrize("name", AGENTS)
def test_it_says_what_it_is(name: str) -> None:
    agent = agent_of(name)
    assert agent.name == name and agent.memory_mib >= 50 and agent.package.version.count(".") == 2
    readme = (ROOT / "harnesses" / name / "README.md").read_text(encoding="utf-8")
    assert f"gym-mcp harness install {name}" in readme


@pytest.mark.parametrize("name", AGENTS)
def test_a_missing_program_is_one_line_that_names_the_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=f"is not installed: gym-mcp harness install {name}$"):
        hub.load_harness(name)
    with pytest.raises(UsageError, match=f"harness {name}: no option `versoin`.*`version`"):
        hub.load_harness(name, {"versoin": "1"})
    with pytest.raises(UsageError, match=f"harness {name}: option contained: .*'auto', True or False$"):
        hub.load_harness(name, {"contained": "maybe"})


@pytest.mark.parametrize("name", [n for n in AGENTS if agent_of(n).resumable])
def test_it_goes_on_with_the_conversation_that_it_is_given(name: str) -> None:
    assert "s1" in launched(name, session="s1").arguments and "s1" not in launched(name).arguments


@pytest.mark.parametrize("name", [n for n in AGENTS if agent_of(n).skills_folder])
def test_both_arms_of_a_skills_experiment_have_the_same_command_and_files(name: str, tmp_path: Path) -> None:
    """They differ by what lies in the skills' folder alone."""
    (tmp_path / "mine" / "counting").mkdir(parents=True)
    text = "---\nname: counting\ndescription: How to count.\n---\nUpwards.\n"
    (tmp_path / "mine" / "counting" / "SKILL.md").write_text(text)
    program, seen = tmp_path / "agent", tmp_path / "seen"
    look = f'(printf "%s\\n" "$@"; cd .. && find home work -type f) | sed "s|$HOME|HOME|g" > {seen}'
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo 1.2.3 && exit\n{look}\n')
    program.chmod(0o755)
    found: list[set[str]] = []
    for source in (str(tmp_path / "mine"), "none"):
        options, skills = {"binary": str(program)}, load_skills(source)
        run(lambda o=options, s=skills: play(name, fixed("hello"), options=o, skills=s))
        found.append(set(seen.read_text().splitlines()))
    assert found[0] - found[1] == {f"home/{agent_of(name).skills_folder}/counting/SKILL.md"}
    assert found[1] < found[0]


def test_inside_harnesses_have_nothing_to_install() -> None:
    with pytest.raises(UsageError, match="nothing to install"):
        verbs._agent("simple")


def test_a_name_that_is_near_no_harness_says_what_lists_them() -> None:
    with pytest.raises(UsageError, match=r"no harness `zzz` \(`gym-mcp list harnesses`\)$"):
        verbs._agent("zzz")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_types() -> None:
    """Folders with a dash are no module names, so the whole-tree check leaves them out."""
    for name in (n for n in AGENTS if "-" in n):
        file = ROOT / "harnesses" / name / "harness.py"
        command = [sys.executable, "-m", "mypy", "--exclude", "^$", str(file)]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert found.returncode == 0, found.stdout
