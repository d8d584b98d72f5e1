"""Killed, interrupted, run twice at once: nothing that was journalled is lost, changed or run again."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import orjson
import pytest

from tests.coordinator.test_groups import GROUPED
from tests.faults.process import (
    Folder,
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


def test_killed_at_twenty_random_moments(tmp_path: Path) -> None:
    folder, rng = Folder(tmp_path, 1_000), random.Random(20)
    with endpoint(*STEP, "--delay", 0.08) as url:
        flags = (*folder.flags("openai/m", "--base-url", url, "--repeats", 3, "--concurrency", 16), "-q")
        grown = 0
        for kill in range(20):
            started = (folder.run / "manifest.json").exists()
            before = folder.rollouts.read_bytes() if folder.rollouts.exists() else b""
            journalled = set(map(_key, _whole(before)))
            opened = folder.opened()
            again = ("eval", "resume", folder.run, "--json", "-q")
            process = begin(*(again if started and kill % 2 else flags))
            time.sleep(rng.uniform(0.3, 1.6))
            kill_group(process)
            after = folder.rollouts.read_bytes() if folder.rollouts.exists() else b""
            whole = b"".join(line for line in before.splitlines(keepends=True) if line.endswith(b"\n"))
            assert after.startswith(whole), f"kill {kill}: what was journalled changed"
            grown += len(after) > len(before)
            now = folder.opened()
            ran_again = {key for key in journalled if now[key] != opened[key]}
            assert not ran_again, f"kill {kill}: journalled rollouts ran again: {sorted(ran_again)[:3]}"
        assert grown >= 10, "the kills came too early to prove anything"
        done = gym("eval", "resume", folder.run, "--json", "-q", "--concurrency", 256)
    metrics = result(done)
    assert (metrics["expected"], metrics["scored"], metrics["mean_reward"]) == (3_000, 3_000, 1.0)
    rows = folder.check(1_000, 3)
    assert all(row["outcome"] == "scored" and len(row["ledger"]) == 1 for row in rows)
    assert folder.rollouts.read_bytes().startswith(whole)


def _whole(journal: bytes) -> list[bytes]:
    return [line for line in journal.splitlines(keepends=True) if line.endswith(b"\n")]


def _key(line: bytes) -> str:
    row = orjson.loads(line)
    return f"{row['task_id']}-{row['seed']}"


def test_killed_before_it_began_it_can_begin_again(tmp_path: Path) -> None:
    """Also with the files of a start that was killed before its manifest."""
    folder, rng = Folder(tmp_path, 3_000), random.Random(3)
    for _ in range(6):
        process = begin(*folder.flags("builtin/null"), "-q")
        time.sleep(rng.uniform(0.2, 0.6))
        kill_group(process)
    result(gym(*folder.flags("builtin/null"), "-q"))
    folder.check(3_000)


def test_of_two_resumes_at_once_the_second_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 40)
    with endpoint(*STEP, "--delay", 0.1) as url:
        first = begin(*folder.flags("openai/m", "--base-url", url, "--concurrency", 2), "-q")
        until(lambda: folder.lines() >= 1, "a first rollout")
        kill_group(first)
        second = begin("eval", "resume", folder.run, "--json")
        read_until(second, "run directory:")
        refused(gym("eval", "resume", folder.run, "--json", "-q"), "another process is running this run")
        refused(gym(*folder.flags("openai/m", "--base-url", url), "-q"), "another process is running this run")
        assert result(finish(second))["scored"] == 40
    folder.check(40)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_lets_what_runs_finish(tmp_path: Path, number: signal.Signals) -> None:
    folder = Folder(tmp_path, 60)
    with endpoint(*STEP, "--delay", 0.2) as url:
        process = begin(*folder.flags("openai/m", "--base-url", url, "--concurrency", 4))
        read_until(process, "run directory:")
        until(lambda: folder.lines() >= 1, "a first rollout")
        process.send_signal(number)
        said = read_until(process, "interrupted: finishing")
        assert "again to give them up" in said
        done = finish(process)
        metrics = result(done, 130)
        assert f"go on with: gym-mcp eval resume {folder.run}" in done.stderr
        assert 1 <= metrics["scored"] < 60 and metrics["missing"] == 60 - metrics["scored"]
        assert len(folder.opened()) == metrics["scored"], "what ran was given up"
        assert result(gym("eval", "resume", folder.run, "--json", "-q"))["scored"] == 60
    folder.check(60)
    assert set(folder.opened().values()) == {1}


def test_a_signal_is_heard_by_a_model_that_never_waits(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 30_000)
    process = begin(*folder.flags("builtin/null"))
    read_until(process, "run directory:")
    until(lambda: folder.rollouts.stat().st_size > 0, "a first rollout")
    process.send_signal(signal.SIGINT)
    assert result(finish(process), 130)["missing"] > 0


def test_two_signals_give_up_what_runs(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 8)
    with endpoint("--fault", "hang", "--every", 1) as url:
        process = begin(*folder.flags("openai/m", "--base-url", url))
        read_until(process, "run directory:")
        until(lambda: len(folder.opened()) == 8, "all episodes open")
        process.send_signal(signal.SIGINT)
        read_until(process, "interrupted: finishing 8 rollouts")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        metrics = result(finish(process), 130)
        assert time.monotonic() - began < 10
        assert (metrics["scored"], metrics["failed"], metrics["missing"]) == (0, {}, 8)
    assert folder.rows() == []
    with endpoint(*STEP) as url:
        resumed = gym("eval", "resume", folder.run, "--base-url", url, "--json", "-q")
    assert result(resumed)["scored"] == 8


def test_runs_at_once_into_one_directory(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 300)
    processes = [begin(*folder.flags("builtin/oracle", "--seed", i), "-q") for i in range(4)]
    done = [finish(process) for process in processes]
    assert sorted(d.returncode for d in done) == [0, 2, 2, 2], [d.stderr for d in done]
    for one in done:
        if one.returncode == 2:
            told = one.stderr.strip()
            assert "\n" not in told
            assert any(t in told for t in ("another process", "holds another run", "not empty")), told
    folder.check(300)
    assert sum(folder.opened().values()) == 300


def test_out_of_another_run_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 3)
    result(gym(*folder.flags(), "-q"))
    before = folder.rollouts.read_bytes()
    refused(gym(*folder.flags("builtin/null"), "-q"), "holds another run (model: ")
    refused(gym(*folder.flags("builtin/oracle", "--seed", 1), "-q"), "seed: 0 -> 1")
    assert folder.rollouts.read_bytes() == before
    assert result(gym(*folder.flags(), "-q"))["scored"] == 3


def test_groups_survive_being_killed(tmp_path: Path) -> None:
    """Rollouts that waited for their group, or were just being scored with it, are neither lost nor run again."""
    folder, rng = Folder(tmp_path, 300), random.Random(4)
    waiting = folder.run / "rollouts.waiting.jsonl"
    with endpoint("--delay", 0.05) as url:
        more = ("--base-url", url, "--repeats", 4, "--concurrency", 10, "-q")
        flags = folder.flags("openai/m", *more, environment=GROUPED)
        started: dict[str, float] = {}
        for _ in range(8):
            process = begin(*flags)
            time.sleep(rng.uniform(0.5, 1.2))
            kill_group(process)
            for path in (waiting, folder.rollouts):
                for line in _whole(path.read_bytes() if path.exists() else b""):
                    row = orjson.loads(line)
                    at = row["timing"]["started"]
                    assert started.setdefault(row["rollout_id"], at) == at, "a rollout that had ended ran again"
        assert len(started) > 50, "the kills came too early to prove anything"
        metrics = result(gym("eval", "resume", folder.run, "--json", "-q", "--concurrency", 128))
    assert (metrics["scored"], metrics["mean_reward"]) == (1_200, 0.25) and not waiting.exists()
    for row in folder.check(300, 4):
        assert row["notes"] == "0,1,2,3"
        assert started.get(row["rollout_id"], row["timing"]["started"]) == row["timing"]["started"]
