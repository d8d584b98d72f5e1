"""`gym-mcp eval reverify` as a process: plan, diff, another `verifiers` folder, SIGKILL, a served environment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from gym_mcp.coordinator.run import start
from gym_mcp.hub import load_environment
from gym_mcp.reverify.job import Wish, prepared
from gym_mcp.reverify.rescore import SCRATCH
from tests.cli.support import COMMAND, gym, process_env
from tests.coordinator.kit import config, read_lines
from tests.coordinator.runs import COUNTER, edit
from tests.servers import running
from tests.support import run

pytestmark = pytest.mark.slow  # real processes, or searches that take their time

SOLVED = """
    def solution(self):
        from gym_mcp import Call

        return [Call("add", amount=2), "two"]
"""


def make_run(folder: Path, count: int = 3) -> tuple[Path, Path]:
    """(environment file, finished run of the oracle on `count` tasks)."""
    environment, rows, out = folder / "counter.py", folder / "rows.jsonl", folder / "run"
    environment.write_text(COUNTER + SOLVED)
    rows.write_text(
        "".join(json.dumps({"id": f"t{i}", "prompt": "Count.", "data": {}}) + "\n" for i in range(count))
    )
    flags = ("-e", str(environment), "-m", "builtin/oracle", "--input", str(rows), "--out", str(out), "-q")
    assert gym("eval", "run", *flags).returncode == 0
    return environment, out


def test_plan_then_diff(tmp_path: Path) -> None:
    environment, out = make_run(tmp_path)
    assert "nothing to verify again" in gym("eval", "reverify", str(out)).stdout
    environment.write_text(environment.read_text().replace("float(self.value == 2)", "self.value / 4"))
    dry = gym("eval", "reverify", str(out), "--dry-run")
    assert dry.returncode == 0 and "re-verify        3  scored by another verifier or judge" in dry.stdout
    assert json.loads(gym("eval", "reverify", str(out), "--dry-run", "--json").stdout)["plan"]["re-verify"] == 3
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir() and not p.name.startswith("__")) == ["run"]
    done = gym("eval", "reverify", str(out), "--in-place")
    assert done.returncode == 0, done.stderr
    assert "rollouts: 3 scored lower" in done.stdout
    assert "mean reward    1.000 ->   0.500" in done.stdout
    assert "t0  1.000 -> 0.500  (1 of 1)" in done.stdout


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    environment, out = make_run(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    for flags, words in (
        (("--in-place", "--out", "x"), "give one of the two"),
        (("--verifier-from", str(tmp_path / "notes.txt")), "a .py file with an environment, or a `verifiers`"),
        (("--verifier-from", str(tmp_path)), "must be called `verifiers`"),
        (("--environment", "http://127.0.0.1:1/x"), "only for a run of a served environment"),
    ):
        done = gym("eval", "reverify", str(out), *flags)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    environment.write_text(environment.read_text().replace("self.value = 0", "self.value = 1 - 1"))
    done = gym("eval", "reverify", str(out))
    assert done.returncode == 2 and "changed since: environment: run it again" in done.stderr


def test_another_verifiers_folder(tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    (hub / "tool_servers" / "parrot").mkdir(parents=True)
    (hub / "tool_servers" / "parrot" / "server.py").write_text(
        "from gym_mcp import Environment\nfrom verifiers.text import exact_match\n\n\n"
        'class Parrot(Environment):\n    """Say the word."""\n\n'
        "    def solution(self):\n        return 'Word'\n\n"
        "    def verify(self, transcript):\n        return float(exact_match(transcript.answer, 'word'))\n"
    )
    rows = '{"id": "t", "prompt": "Say the word.", "data": {}}\n'
    (hub / "tool_servers" / "parrot" / "tasks.jsonl").write_text(rows)
    loose, strict = tmp_path / "loose" / "verifiers", tmp_path / "strict" / "verifiers"
    for folder, body in ((loose, "a.lower() == b.lower()"), (strict, "a == b")):
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        (folder / "text.py").write_text(f"def exact_match(a, b):\n    return {body}\n")
    (hub / "verifiers").symlink_to(loose)
    out = tmp_path / "run"
    flags = ("-e", "parrot", "-m", "builtin/oracle", "--out", str(out), "-q", "--json")
    first = gym("eval", "run", *flags, hub=hub)
    assert json.loads(first.stdout)["mean_reward"] == 1.0, first.stderr
    other = ("--verifier-from", str(strict), "--out", str(tmp_path / "new"), "--json")
    done = gym("eval", "reverify", str(out), *other, hub=hub)
    assert json.loads(done.stdout)["headline"]["mean_reward"] == [1.0, 0.0], done.stderr


@pytest.mark.slow
def test_kill_9_loses_nothing(tmp_path: Path) -> None:
    environment, out = make_run(tmp_path, count=30)
    before = (out / "rollouts.jsonl").read_bytes()
    slow = "__import__('time').sleep(0.1) or self.value / 4"
    environment.write_text(environment.read_text().replace("float(self.value == 2)", slow))
    command = [*COMMAND, "eval", "reverify", str(out), "--in-place", "--concurrency", "1", "--json"]
    child = subprocess.Popen(command, env=process_env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    scratch, deadline = out / SCRATCH, time.monotonic() + 30
    while time.monotonic() < deadline and not (scratch.exists() and scratch.read_bytes().count(b"\n") >= 3):
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(20) == -signal.SIGKILL
    assert (out / "rollouts.jsonl").read_bytes() == before
    done = subprocess.run(command, env=process_env(), capture_output=True, text=True, timeout=50)
    report = json.loads(done.stdout)
    assert report["rollouts"] == {"down": 30}
    assert {r["reward"] for r in read_lines(out / "rollouts.jsonl")} == {0.5}
    assert (out / "rollouts.before-reverify.jsonl").read_bytes() == before


@pytest.mark.slow
def test_a_served_environment_verifies_where_it_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = tmp_path / "counter.py"
    environment.write_text(COUNTER + SOLVED)
    (tmp_path / "counter.jsonl").write_text('{"id": "t", "prompt": "Count.", "data": {}}\n')
    out = tmp_path / "run"

    async def main() -> None:
        async with running(tmp_path, load_environment(str(environment))) as server:
            monkeypatch.setenv("GYM_MCP_OPERATOR_KEY", server.key)
            await start(config(server.url), out)
        edit(environment, "float(self.value == 2)", "self.value / 4")
        async with running(tmp_path, load_environment(str(environment))) as server:
            async with prepared(Wish(out, environment_url=server.url)) as job:
                assert job.plan.total("re-verify") == 1
                report = await job.carry_out()
        assert report["headline"]["mean_reward"] == [1.0, 0.5]

    run(main)
