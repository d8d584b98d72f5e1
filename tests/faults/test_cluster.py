"""A real Ray cluster whose nodes, actors and processes are killed: the rows of one process, each exactly once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gym_mcp.observe.control import ask
from gym_mcp.types import JSONObject
from tests.faults.process import (
    ROOT,
    Folder,
    begin,
    endpoint,
    environment,
    finish,
    gym,
    read_until,
    refused,
    result,
    until,
)
from tests.faults.test_crew import DEADLY, timeless

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc"),
]
SECRET = "sk-2f7c1b-which-nobody-may-find"
MORE = ("--concurrency", 24, "--set", "max_attempts=9", "-q")

SHIPPED = '''
import os
from pathlib import Path
from gym_mcp import Call, Environment, Reward, tool
from beside import ANSWER


class Shipped(Environment):
    """Its files and its key must be where it runs."""

    def open(self, task):
        self.stepped = 0

    @tool
    def step(self) -> int:
        """Step."""
        self.stepped += 1
        return self.stepped

    def verify(self, transcript):
        there = Path(__file__).with_name("answer.txt").read_text() == ANSWER
        return float(there and os.environ.get("SHIPPED_API_KEY") == self.task.data["key"] and self.stepped == 1)

    @classmethod
    def verify_group(cls, task, rollouts):
        note = f"{os.environ.get('RAY_JOB_ID') is not None} {','.join(str(r.repeat) for r in rollouts)}"
        return [Reward(r.reward.score / len(rollouts), notes=note) for r in rollouts]

    def solution(self):
        yield Call("step")
        yield "done"
'''


class Nodes:
    """The cluster of `tests/cluster/nodes.py`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.address, self.folder = self._read().split()

    def _read(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() and "bringing" not in line:
                return line.strip()
        raise AssertionError("the cluster ended")

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        while self._read() != "done":
            pass

    def add(self, **options: object) -> None:
        self.tell(f"add {json.dumps(options)}")

    def actors(self) -> list[int]:
        return [pid for pid in below(self.process.pid) if command_of(pid).startswith("ray::Foreman")]

    def members(self) -> list[int]:
        return [pid for actor in self.actors() for pid in below(actor) if "crew.member" in command_of(pid)]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    command = [sys.executable, "-m", "tests.cluster.nodes"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, env=environment(), cwd=ROOT, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield Nodes(process)
        finally:
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def below(pid: int) -> list[int]:
    """A process's descendants."""
    try:
        children = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        more = [int(p) for t in Path(f"/proc/{pid}/task").iterdir() for p in (t / "children").read_text().split()]
    except OSError:
        return []
    return [other for child in {*children, *more} for other in (child, *below(child))]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def comparable(row: JSONObject) -> JSONObject:
    """What does not depend on which call met a fault of the endpoint."""
    return {**timeless(row), "usage": {**row["usage"], "retries": 0}}


def test_nodes_actors_processes_and_the_run_are_killed(tmp_path: Path, nodes: Nodes) -> None:
    nodes.add()
    found: list[list[JSONObject]] = []
    numbers: list[JSONObject] = []
    calls = ("--calls", '[["step", {}]]', "--delay", 0.25, "--jitter", 0.2, "--fault", "503", "--every", 50)
    with endpoint(*calls) as url:

        def folder_of(name: str) -> tuple[Folder, list[object]]:
            (tmp_path / name).mkdir()
            folder = Folder(tmp_path / name, 150)
            flags = folder.flags("openai/m", "--base-url", url, "--repeats", 2, *MORE, environment=DEADLY)
            return folder, list(flags)

        def keep(folder: Folder, done: subprocess.CompletedProcess[str]) -> None:
            metrics = result(done)
            numbers.append({k: v for k, v in metrics.items() if k not in ("run_id", "run_dir", "usage")})
            rows = sorted(folder.check(150, 2), key=lambda row: (row["task_index"], row["repeat"]))
            found.append([comparable(row) for row in rows])

        folder, flags = folder_of("alone")
        keep(folder, gym(*flags, "--concurrency", 256, OPENAI_API_KEY=SECRET))
        folder, flags = folder_of("ray")
        process = begin(*flags, "--ray", nodes.address, OPENAI_API_KEY=SECRET)
        until(lambda: folder.lines() >= 20 and len(nodes.members()) >= 3, "actors on both nodes", 60)
        nodes.tell("kill")
        until(lambda: folder.lines() >= 70, "more rollouts", 60)
        os.kill(nodes.members()[0], signal.SIGKILL)
        os.kill(nodes.actors()[-1], signal.SIGKILL)
        before = folder.lines()
        until(lambda: folder.lines() >= before + 30, "more rollouts", 60)
        process.kill()
        finish(process)
        assert folder.lines() < 300, "the run ended too early to prove anything"
        until(lambda: not nodes.actors() and not nodes.members(), "the actors' end")
        again = ("eval", "resume", folder.run, "--ray", nodes.address, "--json", "-q")
        keep(folder, gym(*again, OPENAI_API_KEY=SECRET))
    assert numbers[0]["scored"] == 300
    assert numbers[0] == numbers[1] and found[0] == found[1]
    holds_no_secret(tmp_path, Path(nodes.folder))


def test_it_is_steered_like_any_other(tmp_path: Path, nodes: Nodes) -> None:
    folder = Folder(tmp_path, 60)

    def now() -> JSONObject:
        status: JSONObject = ask(folder.run, {"do": "status"})["status"]
        return status

    with endpoint("--calls", '[["step", {}]]', "--delay", 0.3) as url:
        flags = folder.flags("openai/m", "--base-url", url, "-q", environment=DEADLY)
        process = begin(*flags, "--concurrency", 8, "--workers", 2, "--ray", nodes.address)
        until(lambda: folder.lines() >= 8, "rollouts", 60)
        ask(folder.run, {"do": "pause"})
        until(lambda: now()["in_flight"] == 0, "the last of them")
        assert now()["state"] == "paused" and 8 <= folder.lines() < 60
        ask(folder.run, {"do": "resume"})
        ask(folder.run, {"do": "set", "concurrency": 20})
        until(lambda: sum(now()["stages"].values()) > 8, "more at a time")
        assert result(finish(process))["scored"] == 60
    folder.check(60, 1)


def holds_no_secret(*folders: Path) -> None:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("more", [(), ("--set", "env_servers=1")], ids=["actors", "servers"])
def test_files_keys_and_groups_reach_the_nodes(tmp_path: Path, nodes: Nodes, more: tuple[str, ...]) -> None:
    (tmp_path / "shipped.py").write_text(SHIPPED)
    (tmp_path / "beside.py").write_text('ANSWER = "42"\n')
    (tmp_path / "answer.txt").write_text("42")
    folder = Folder(tmp_path, 12, **{f"t{i}": {"key": SECRET} for i in range(12)})
    flags = folder.flags("builtin/oracle", "--repeats", 4, "-q", environment=tmp_path / "shipped.py")
    done = gym(*flags, *more, "--workers", 1, "--ray", nodes.address, SHIPPED_API_KEY=SECRET)
    assert result(done)["mean_reward"] == 0.25, "a file or the key did not get there"
    assert {row["notes"] for row in folder.check(12, 4)} == {"True 0,1,2,3"}
    assert not (folder.run / "rollouts.waiting.jsonl").exists()
    assert done.stderr == ""


def test_another_version_on_a_node_is_refused(
    tmp_path: Path, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, name = tmp_path / "copy", "example_single_tool_call"
    for part in ("gym_mcp", "verifiers", "harnesses", f"tool_servers/{name}"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / "tool_servers" / name / "server.py").open("a") as file:
        file.write("\nCHANGED = True\n")
    nodes.add(resources={"old": 2}, env_vars={"PYTHONPATH": str(copy)})
    monkeypatch.chdir(tmp_path)  # Ray puts the folder of `python -m` on the path of its processes, too
    flags = ("eval", "run", "-e", name, "-m", "builtin/oracle", "--out", "run", "-q", "--workers", 1)
    done = gym(*flags, "--ray", nodes.address, "--set", "resources.old=1")
    refused(done, "has another version: environment: ")


def test_one_signal_ends_a_run_that_waits_for_a_node(tmp_path: Path, nodes: Nodes) -> None:
    folder = Folder(tmp_path, 4)
    flags = [flag for flag in folder.flags("builtin/oracle", environment=DEADLY) if flag != "-q"]
    process = begin(*flags, "--ray", nodes.address, "--set", "resources.rare=1")
    read_until(process, "1 of 1 actors have no node yet: each needs one with room (CPU 1, rare 1)")
    process.send_signal(signal.SIGINT)
    done = finish(process, 30)
    assert result(done, 130)["missing"] == 4
    assert f"eval resume {folder.run} --ray {nodes.address}" in done.stderr
