"""`gym-mcp harness new` writes harnesses that work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gym_mcp import hub
from tests.cli.support import gym
from tests.endpoint import Reply, in_turn, message
from tests.harnesses.test_simple import play

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--langgraph",)], ids=["plain", "langgraph"])
def test_what_it_writes_passes_its_tests_and_checks(flags: tuple[str, ...], tmp_path: Path) -> None:
    done = gym("harness", "new", "my_loop", *flags, "--dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "my_loop"
    assert {p.name for p in folder.iterdir()} == {"harness.py", "README.md", "test_my_loop.py"}
    for file in folder.iterdir():
        assert "my_harness" not in file.read_text() and "MyHarness" not in file.read_text()
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for command in (
        ["pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path), str(folder)],
        ["ruff", "check", "--ignore", "I", "--config", str(REPOSITORY / "pyproject.toml"), str(folder)],
        ["mypy", "--strict", "--config-file", os.devnull, str(folder / "harness.py")],
    ):
        checked = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("flags", [(), ("--langgraph",)])
def test_it_can_be_loaded_and_nothing_is_overwritten(flags: tuple[str, ...], tmp_path: Path) -> None:
    assert gym("harness", "new", "one", *flags, "--dir", str(tmp_path)).returncode == 0
    name, harness, _ = hub.load_harness(str(tmp_path / "one" / "harness.py"))
    assert name == "one" and callable(harness.run)
    again = gym("harness", "new", "one", "--dir", str(tmp_path))
    assert again.returncode == 2 and "exists already" in again.stderr
    bad = gym("harness", "new", "One Two", "--dir", str(tmp_path))
    assert bad.returncode == 2 and "`one_two`" in bad.stderr


@pytest.mark.parametrize("flags", [(), ("--langgraph",)], ids=["plain", "langgraph"])
def test_it_tells_the_user_no_answer_that_was_cut_short(flags: tuple[str, ...], tmp_path: Path) -> None:
    assert gym("harness", "new", "one", *flags, "--dir", str(tmp_path)).returncode == 0
    cut = Reply([message("I was about to")], incomplete="max_output_tokens")
    got = play(in_turn(cut), harness=str(tmp_path / "one" / "harness.py"))
    assert (got.transcript.stop, len(got.bodies)) == ("max_output_tokens", 1)
    assert [item["role"] for item in got.transcript.items] == ["assistant"]
