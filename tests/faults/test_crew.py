"""Worker processes killed, stopped and poisoned: the rows and numbers of one process, each exactly once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from gym_mcp.types import JSONObject
from tests.coordinator.test_groups import GROUPED
from tests.faults.process import (
    Folder,
    Process,
    begin,
    endpoint,
    finish,
    gym,
    kill_group,
    read_until,
    refused,
    result,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
STEP = ("--calls", '[["step", {}]]')
ENVIRONMENTS = Path(__file__).resolve().parents[1] / "environments"
DEADLY, TOGETHER = ENVIRONMENTS / "deadly.py", ENVIRONMENTS / "deadly_group.py"
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")


def children(process: Process) -> list[int]:
    """Worker processes of a run."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in found]


def kill_one(process: Process, rng: random.Random) -> bool:
    """Kill a worker process, if there is one."""
    with contextlib.suppress(OSError):
        if workers := children(process):
            os.kill(rng.choice(workers), signal.SIGKILL)
            return True
    return False


def reach(count: Callable[[], int], goal: int, process: Process) -> None:
    """Wait until the run has got so far, or has ended."""
    until(lambda: count() >= goal or process.poll() is not None, "more rollouts")


def gone(pids: list[int]) -> Callable[[], bool]:
    return lambda: not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def timeless(row: JSONObject) -> JSONObject:
    """What of a row must not depend on which process made it, and when."""
    ledger = [{k: v for k, v in entry.items() if k not in ("start", "end")} for entry in row["ledger"]]
    return {**row, "rollout_id": "", "timing": None, "ledger": ledger}


def test_rows_and_numbers_are_the_same_whatever_the_number_of_processes(tmp_path: Path) -> None:
    found: list[tuple[JSONObject, list[JSONObject]]] = []
    for workers in (1, 2, 3, 7):
        place = tmp_path / str(workers)
        place.mkdir()
        folder = Folder(place, 60, t7={"where": "tool", "how": "raise"})
        metrics = result(gym(*folder.flags("builtin/noisy-oracle", "--repeats", 3, "--workers", workers, "-q")))
        metrics.pop("run_id"), metrics.pop("run_dir")
        rows = sorted(folder.check(60, 3), key=lambda r: (r["task_index"], r["repeat"]))
        found.append((metrics, [timeless(row) for row in rows]))
    assert 0 < found[0][0]["scored"] < 180 and found[0][0]["failed"] == {"environment": 3}
    for other in found[1:]:
        assert other == found[0]


@needs_proc
def test_killed_workers_are_replaced_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    folder, rng = Folder(tmp_path, 1_500), random.Random(8)
    with endpoint(*STEP, "--delay", 0.08) as url:
        more = ("--base-url", url, "--repeats", 2, "--concurrency", 32, "--workers", 3, "--set", "max_attempts=9")
        process = begin(*folder.flags("openai/m", *more))
        read_until(process, "run directory:")
        killed = 0
        for _ in range(15):
            grown = folder.lines() + rng.randrange(1, 120)
            reach(folder.lines, grown, process)
            time.sleep(rng.uniform(0.0, 0.1))
            killed += kill_one(process, rng)
        done = finish(process)
    metrics = result(done)
    assert killed >= 8, "the run ended too early to prove anything"
    assert done.stderr.count("died (SIGKILL): a new one goes on") >= 8
    assert (metrics["scored"], metrics["failed"], metrics["mean_reward"]) == (3_000, {}, 1.0)
    folder.check(1_500, 2)


@needs_proc
def test_a_killed_run_takes_its_workers_along_and_can_be_resumed_at_once(tmp_path: Path) -> None:
    folder, rng = Folder(tmp_path, 1_000), random.Random(5)
    journalled: dict[str, int] = {}
    with endpoint(*STEP, "--delay", 0.08) as url:
        flags = folder.flags("openai/m", "--base-url", url, "--repeats", 3, "--concurrency", 16)
        for kill in range(10):
            again = ("eval", "resume", folder.run, "--json", "-q")
            started = (folder.run / "manifest.json").exists()
            process = begin(*(again if started else (*flags, "-q")), "--workers", 1 + kill % 3)
            grown = folder.lines() + rng.randrange(1, 60)
            if kill % 4:
                reach(folder.lines, grown, process)
            time.sleep(rng.uniform(0.0, 0.3))
            workers = children(process) if process.poll() is None else []
            process.kill()  # it alone: its workers must notice
            until(gone(workers), "the workers' end")
            finish(process)
            lines = folder.rollouts.read_bytes().splitlines(keepends=True) if folder.rollouts.exists() else []
            for row in [orjson.loads(line) for line in lines if line.endswith(b"\n")]:
                assert (
                    journalled.setdefault(row["rollout_id"], row["timing"]["started"]) == row["timing"]["started"]
                )
        assert len(journalled) > 100, "the kills came too early to prove anything"
        done = gym("eval", "resume", folder.run, "--json", "-q", "--concurrency", 256, "--workers", 2)
    assert result(done)["scored"] == 3_000
    for row in folder.check(1_000, 3):
        assert journalled.get(row["rollout_id"], row["timing"]["started"]) == row["timing"]["started"]


@pytest.mark.parametrize("where", ["open", "tool", "verify"])
def test_a_rollout_that_kills_its_process_fails_alone(tmp_path: Path, where: str) -> None:
    folder = Folder(tmp_path, 100, t37={"dies": where}, t74={"dies": where})
    done = gym(*folder.flags("builtin/oracle", "--workers", 2, environment=DEADLY))
    metrics = result(done)
    assert (metrics["scored"], metrics["failed"], metrics["complete"]) == (98, {"environment": 2}, True)
    failed = [row for row in folder.check(100) if row["outcome"] == "failed"]
    assert {row["task_id"] for row in failed} == {"t37", "t74"}
    for row in failed:
        assert row["failure"] == {"kind": "environment", "message": "the worker process died (SIGKILL)"}
        assert row["attempts"] == 2
    assert done.stderr.count("died (SIGKILL)") < 40


def test_a_rollout_that_kills_once_is_scored(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 40, t3={"dies_once": str(tmp_path / "died")})
    assert result(gym(*folder.flags("builtin/oracle", "--workers", 2, "-q", environment=DEADLY)))["scored"] == 40
    folder.check(40)


def test_processes_that_cannot_start_end_the_run(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 5)
    file = tmp_path / "stillborn.py"
    mark = tmp_path / "imported"
    text = DEADLY.read_text().replace(
        "\n\nclass Deadly",
        f"\nif os.path.exists({str(mark)!r}):\n    os._exit(9)\nPath({str(mark)!r}).touch()\n\n\nclass Deadly",
    )
    file.write_text(text)
    done = gym(*folder.flags("builtin/oracle", "--workers", 2, "-q", environment=file))
    refused(done, "10 worker processes in a row died as they started (exit status 9)")


@needs_proc
@pytest.mark.parametrize("to_all", [False, True])
def test_one_signal_lets_what_runs_finish(tmp_path: Path, to_all: bool) -> None:
    """To the run alone, and to its whole process group, as a terminal does."""
    folder = Folder(tmp_path, 60)
    with endpoint(*STEP, "--delay", 0.2) as url:
        process = begin(*folder.flags("openai/m", "--base-url", url, "--concurrency", 4, "--workers", 2))
        read_until(process, "run directory:")
        until(lambda: folder.lines() >= 1, "a first rollout")
        (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
        read_until(process, "interrupted: finishing")
        metrics = result(finish(process), 130)
        assert 1 <= metrics["scored"] < 60 and metrics["missing"] == 60 - metrics["scored"]
        assert len(folder.opened()) == metrics["scored"], "what ran was given up"
        assert result(gym("eval", "resume", folder.run, "--json", "-q", "--workers", 2))["scored"] == 60
    folder.check(60)
    assert set(folder.opened().values()) == {1}


@needs_proc
def test_two_signals_give_up_what_runs(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 8)
    with endpoint("--fault", "hang", "--every", 1) as url:
        process = begin(*folder.flags("openai/m", "--base-url", url, "--workers", 2))
        read_until(process, "run directory:")
        until(lambda: len(folder.opened()) == 8, "all episodes open")
        workers = children(process)
        process.send_signal(signal.SIGINT)
        read_until(process, "interrupted: finishing 8 rollouts")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        metrics = result(finish(process), 130)
        assert time.monotonic() - began < 10 and gone(workers)()
    assert (metrics["scored"], metrics["failed"], metrics["missing"]) == (0, {}, 8) and folder.rows() == []


@pytest.mark.parametrize("room", [30_000, 60_001])
def test_a_journal_that_may_not_grow(tmp_path: Path, room: int) -> None:
    folder = Folder(tmp_path, 200)
    more = ("--workers", 2, "-q")
    stopped = gym(*folder.flags("builtin/oracle", *more), room=room)
    refused(stopped, "rollouts.jsonl: File too large; what was journalled is safe", code=3)
    assert len(stopped.stderr.splitlines()) == 1, stopped.stderr
    before = folder.rollouts.read_bytes()
    assert before.endswith(b"\n") and 0 < len(folder.rows()) < 200
    assert result(gym("eval", "resume", folder.run, "-q", "--json"))["scored"] == 200
    assert folder.rollouts.read_bytes().startswith(before)
    folder.check(200)


@needs_proc
def test_groups_survive_killed_workers_and_killed_runs(tmp_path: Path) -> None:
    folder, rng = Folder(tmp_path, 300), random.Random(4)
    waiting = folder.run / "rollouts.waiting.jsonl"

    def ended() -> int:
        return sum(path.stat().st_size for path in (waiting, folder.rollouts) if path.exists()) // 700

    with endpoint("--delay", 0.05) as url:
        more = ("--base-url", url, "--repeats", 4, "--concurrency", 10, "--set", "max_attempts=9")
        flags = folder.flags("openai/m", *more, environment=GROUPED)
        started: dict[str, float] = {}
        for turn in range(8):
            process = begin(*flags, "-q", "--workers", 1 + turn % 3)
            for _ in range(2):
                grown = ended() + rng.randrange(1, 60)
                reach(ended, grown, process)
                time.sleep(rng.uniform(0.0, 0.1))
                kill_one(process, rng)
            kill_group(process)
            for path in (waiting, folder.rollouts):
                for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
                    if line.endswith(b"\n"):
                        row = orjson.loads(line)
                        at = row["timing"]["started"]
                        assert started.setdefault(row["rollout_id"], at) == at, (
                            "a rollout that had ended ran again"
                        )
        assert len(started) > 50, "the kills came too early to prove anything"
        done = gym("eval", "resume", folder.run, "--json", "-q", "--concurrency", 128, "--workers", 2)
    metrics = result(done)
    assert (metrics["scored"], metrics["mean_reward"]) == (1_200, 0.25) and not waiting.exists()
    for row in folder.check(300, 4):
        assert row["notes"] == "0,1,2,3"
        assert started.get(row["rollout_id"], row["timing"]["started"]) == row["timing"]["started"]


@pytest.mark.parametrize(
    ("where", "kind", "scored"), [("tool", "environment", 0), ("group", "verifier", 0)], ids=["member", "group"]
)
def test_a_deadly_group_fails_alone(tmp_path: Path, where: str, kind: str, scored: int) -> None:
    folder = Folder(tmp_path, 12, t5={"dies": where})
    flags = folder.flags("builtin/oracle", "--repeats", 3, "--workers", 2, "-q", environment=TOGETHER)
    metrics = result(gym(*flags))
    assert (metrics["scored"], metrics["failed"]) == (33 + scored, {kind: 3})
    rows = folder.check(12, 3)
    assert {row["task_id"] for row in rows if row["outcome"] == "failed"} == {"t5"}
    assert all(row["reward"] == pytest.approx(1 / 3) for row in rows if row["outcome"] == "scored")
    assert not (folder.run / "rollouts.waiting.jsonl").exists()


def test_a_served_environment_serves_several_processes(tmp_path: Path) -> None:
    folder, key = Folder(tmp_path, 40), "k" * 40
    server = begin(
        "serve", DEADLY, "--http", "127.0.0.1:0", "--input", folder.input, "--json", GYM_MCP_OPERATOR_KEY=key
    )
    try:
        assert server.stdout is not None
        (served,) = orjson.loads(server.stdout.readline())["environments"].values()
        flags = ("-e", served["operator_url"], "-m", "builtin/oracle", "--out", folder.run, "--json", "-q")
        done = gym("eval", "run", *flags, "--repeats", 3, "--workers", 2, GYM_MCP_OPERATOR_KEY=key)
    finally:
        kill_group(server)
    metrics = result(done)
    assert (metrics["scored"], metrics["mean_reward"]) == (120, 1.0)
    folder.check(40, 3)


def test_a_recorded_judge_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 4)
    replies = tmp_path / "judge.jsonl"
    replies.write_text('{"task": "t0", "reply": "yes"}\n')
    flags = folder.flags(
        "builtin/oracle", "--judge", f"replay:{replies}", "--workers", 2, "-q", environment=DEADLY
    )
    refused(gym(*flags), "--workers: a recorded judge gives its replies in turn")
