"""`eval run --together` as a process: Ctrl-C drains all runs, `kill -9` loses nothing of any, each is resumed."""

from __future__ import annotations

import signal
from pathlib import Path

import orjson
import pytest

from tests.coordinator.kit import POISONED, read_lines, rows, write_rows
from tests.faults.process import Process, begin, finish, gym, kill_group, read_until, result, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
DEADLY = POISONED.with_name("deadly.py")


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs of 60 rollouts, of 0.05 and of 0.1 s; the current folder is theirs."""
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "rows.jsonl", rows(60))
    entries = [{"name": str(DEADLY), "env": {"seconds": seconds}} for seconds in (0.05, 0.1)]
    path = tmp_path / "experiment.yaml"
    settings = {"environments": entries, "models": ["builtin/oracle"], "together": True}
    path.write_bytes(orjson.dumps({**settings, "input": str(tmp_path / "rows.jsonl"), "concurrency": 4}))
    return path


def both(folder: Path) -> list[Path]:
    return sorted((folder / "runs").iterdir())


def lines(folder: Path) -> int:
    return sum(
        path.read_bytes().count(b"\n") for path in (folder / "runs").glob("*/rollouts.jsonl") if path.exists()
    )


def started(process: Process, folder: Path) -> None:
    until(lambda: (folder / "runs").exists() and lines(folder) >= 8, "some rollouts")
    assert process.poll() is None


def check_resumed(folder: Path) -> None:
    for run in both(folder):
        before = read_lines(run / "rollouts.jsonl")
        metrics = result(gym("eval", "resume", run, "--json", "-q", "--concurrency", 16))
        after = read_lines(run / "rollouts.jsonl")
        assert metrics["complete"] and after[: len(before)] == before
        assert len({(row["task_index"], row["repeat"]) for row in after}) == len(after) == 60


def test_an_interrupt_drains_all(experiment: Path) -> None:
    folder = experiment.parent
    process = begin("eval", "run", "--config", experiment, "--json")
    started(process, folder)
    process.send_signal(signal.SIGINT)
    said = read_until(process, "2  interrupted: finishing")
    done = finish(process)
    assert done.returncode == 130, done.stderr
    assert "1  interrupted: finishing" in said
    assert done.stderr.count("go on with: gym-mcp eval resume runs/") == 2, done.stderr
    found = orjson.loads(done.stdout)["runs"]
    assert [run["complete"] for run in found] == [False, False]
    assert {str(folder / run["run_dir"]) for run in found} == set(map(str, both(folder)))
    check_resumed(folder)


def test_a_killed_process_loses_nothing_of_any(experiment: Path) -> None:
    process = begin("eval", "run", "--config", experiment, "-q")
    started(process, experiment.parent)
    kill_group(process)
    finish(process)
    for run in both(experiment.parent):
        torn = (run / "rollouts.jsonl").read_bytes()
        (run / "rollouts.jsonl").write_bytes(torn[: torn.rfind(b"\n") + 1])
    check_resumed(experiment.parent)


def test_a_line_for_each_and_one_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    two = ("-e", "mcqa", "-e", DEADLY, "-m", "builtin/null", "--input", write_rows(tmp_path / "r.jsonl", rows(3)))
    done = gym("eval", "run", *two, "--together", "--concurrency", 2)
    assert done.returncode == 2 and "mcqa, builtin/null, simple: " in done.stderr, done.stderr
    assert not list(tmp_path.glob("runs/*"))
    done = gym("eval", "run", "-e", DEADLY, "-m", "builtin/oracle", "-m", "builtin/null", *two[6:], "--together")
    assert done.returncode == 0, done.stderr
    assert "builtin/oracle  deadly · builtin/oracle · simple: 3 tasks x 1 = 3 rollouts" in done.stderr
    assert done.stdout.count("run directory: runs/deadly-builtin-") == 2 and "run directory" in done.stdout
