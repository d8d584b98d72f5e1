"""`gym-mcp top` and the flags as a person uses them: real processes, worker processes, a terminal, a kill."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from gym_mcp.cli.main import cli
from gym_mcp.cli.top_view import line, view
from gym_mcp.errors import UsageError
from gym_mcp.observe.control import ask
from gym_mcp.types import JSONObject
from tests.faults.process import (
    ROOT,
    Folder,
    Process,
    begin,
    endpoint,
    environment,
    finish,
    gym,
    kill_group,
    refused,
    result,
)
from tests.faults.process import until as until_true
from tests.observe.test_metrics import at, parsed

STEP = ("--calls", '[["step", {}]]', "--delay", "0.3")


def top(*arguments: object) -> Result:
    """`gym-mcp top` in this process."""
    return CliRunner().invoke(cli, ["top", *map(str, arguments)])


def state(**changes: object) -> JSONObject:
    """A state as `top` gets it."""
    slow = {"task_id": "\x1b[2Jt", "repeat": 0, "attempt": 1, "turn": 3, "stage": "model"}
    return {
        "title": "a · b · c",
        "run_dir": "/runs/x",
        "pid": 1,
        "state": "running",
        "seconds": 61.0,
        "expected": 10,
        "done": 4,
        "failed": {"model": 1},
        "retried": {},
        "pass_at_1": 0.5,
        "ci95": [0.2, 0.8],
        "usage": {"input_tokens": 1000, "output_tokens": 10, "cost": 0.5},
        "rates": {"rollouts": 2.0, "model_calls": 4.0},
        "seconds_left": 3.0,
        "concurrency": 4,
        "in_flight": 2,
        "waiting_for_room": 0,
        "stages": {"model": 2, "tool": 0},
        "model_calls": 12,
        "tool_calls": 3,
        "slowest": [{**slow, "stage_seconds": 1.0, "seconds": 90.0}],
        "limit": {"limit": 2, "maximum": 4, "in_flight": 2, "waiting": 1},
        "lag": {"p50": 0.001, "p99": 0.002, "max": 0.1},
        "rss": {"run": 1 << 20, "workers": 0},
        "workers": 0,
        "failures": [{"task_id": "t\n", "repeat": 1, "kind": "model", "message": "no\x07pe"}],
        **changes,
    }


def test_the_view_says_it_all_and_moves_no_cursor() -> None:
    text = view(state())
    for words in (
        "4/10 (40%) · 2.0/s · ETA 3 s · pass@1 50.0% [20.0, 80.0]",
        "2 in flight of at most 4: model 2",
        "endpoint: 2 of 2 calls at a time (at most 4), 1 waiting · 1,010 tokens · $0.50",
        "failed model 1",
        "1.0 s  3     1        1 min 30 s",
    ):
        assert words in text, text
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    assert "\n" not in line(state(state="paused")) and "ETA" not in line(state(state="paused"))
    assert view(
        state(limit=None, failed={}, failures=[], slowest=[], pass_at_1=None, workers=2, seconds_left=None)
    )


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    for arguments, told in (
        ((tmp_path / "nothing",), "no run there"),
        (("--pause",), "which run"),
        ((tmp_path, "--pause", "--resume"), "give one of them"),
        ((tmp_path, "--now"), "belongs to --cancel"),
    ):
        found = top(*arguments)
        assert isinstance(found.exception, UsageError) and told in str(found.exception)


def test_nodes_of_a_cluster_write_no_file_here(tmp_path: Path) -> None:
    flags = Folder(tmp_path, 3).flags()
    found = CliRunner().invoke(cli, [*map(str, flags), "--ray", "local", "--otel", str(tmp_path / "s.jsonl")])
    assert isinstance(found.exception, UsageError) and "give a URL" in str(found.exception)


def test_a_run_that_has_ended_is_shown_by_its_table(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 3)
    assert CliRunner().invoke(cli, [*map(str, folder.flags()), "-q"]).exit_code == 0
    found = top(folder.run)
    assert found.exit_code == 0 and "pass@1" in found.output
    assert orjson.loads(top(folder.run, "--json").output)["state"] == "ended"
    refusal = top(folder.run, "--pause").exception
    assert isinstance(refusal, UsageError) and "it does not run" in str(refusal)


@pytest.fixture
def here(tmp_path: Path) -> Folder:
    return Folder(tmp_path, 60)


@contextlib.contextmanager
def started(here: Folder, *more: object) -> Iterator[Process]:
    """A run against a slow endpoint, once it can be asked."""
    with endpoint(*STEP) as url:
        flags = here.flags("openai/m", "--base-url", url, "--concurrency", 8, *more)
        process = begin(*flags, XDG_RUNTIME_DIR=str(here.path))
        try:
            until_true(lambda: (here.run / "control.sock").exists(), "a control socket")
            yield process
        finally:
            if process.poll() is None:
                kill_group(process)


def said(here: Folder, do: str, **arguments: object) -> JSONObject:
    """The run's answer, or its state, asked for without the time that a process takes to start."""
    answer = ask(here.run, {"do": do, **arguments})
    status: JSONObject = answer.get("status", answer)
    return status


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_worker_processes_are_steered_and_counted_together(here: Folder) -> None:
    spans_file = here.path / "spans.jsonl"
    with started(here, "--workers", 2, "--metrics", "127.0.0.1:0", "--otel", spans_file) as process:
        assert process.stderr is not None
        page = process.stderr.readline().split()[-1]
        until_true(lambda: here.lines() >= 8, "rollouts")
        assert gym("top", here.run, "--pause").stdout.startswith("paused")
        until_true(lambda: said(here, "status")["in_flight"] == 0, "the last of them")
        lines = here.lines()
        now = said(here, "status")
        assert (now["state"], now["workers"], now["done"]) == ("paused", 2, lines) and now["rss"]["workers"] > 0
        time.sleep(0.7)
        assert here.lines() == lines < 60
        assert said(here, "resume")["done"] == "resumed"
        assert said(here, "set", concurrency=20)["done"] == "concurrency 8 -> 20"
        assert said(here, "set", model_limit=12)["done"] == "at most 12 model calls at a time"
        until_true(lambda: sum(said(here, "status")["stages"].values()) > 8, "more at a time")
        until_true(lambda: said(here, "status")["limit"]["maximum"] == 12, "the limit")
        with urllib.request.urlopen(page, timeout=10) as answer:
            seen = parsed(answer.read().decode())
        assert at(seen, "model_calls_total", outcome="ok") >= 2 * lines and at(seen, "workers") == 2
        metrics = result(finish(process))
    rows = here.check(60)
    spans = [
        span
        for batch in spans_file.read_bytes().splitlines()
        for resource in orjson.loads(batch)["resourceSpans"]
        for span in resource["scopeSpans"][0]["spans"]
    ]
    calls = sum(row["usage"]["model_calls"] for row in rows)
    assert sum(span["name"].startswith("chat") for span in spans) == calls == metrics["usage"]["model_calls"]
    assert sum(span["name"].startswith("invoke_agent") for span in spans) == 60
    (run,) = [span for span in spans if "parentSpanId" not in span]
    episodes = [span for span in spans if span["name"].startswith("invoke_agent")]
    assert {span["parentSpanId"] for span in episodes} == {run["spanId"]}
    done = [orjson.loads(entry)["do"] for entry in (here.run / "events.jsonl").read_bytes().splitlines()]
    assert done == ["pause", "resume", "concurrency", "model_limit"]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_killed_run_is_not_listed_and_its_socket_is_taken_over(here: Folder) -> None:
    with started(here) as process:
        assert is_listed(here)
        process.send_signal(signal.SIGKILL)
        finish(process)
        assert (here.run / "control.sock").exists()
        assert not is_listed(here)
        assert not list((here.path / "gym-mcp").iterdir())
        refused(gym("top", here.run, "--pause"), "it does not run")
        again = begin("eval", "resume", here.run, "--json", XDG_RUNTIME_DIR=str(here.path))
        until_true(lambda: gym("top", here.run, "--cancel").returncode == 0, "an answer", timeout=30)
        done = finish(again)
        assert done.returncode == 130, done.stderr
        assert not (here.run / "control.sock").exists()


def is_listed(here: Folder) -> bool:
    """Whether `gym-mcp top` names the run; others of this machine's user may go on beside it."""
    done = gym("top", "--json", XDG_RUNTIME_DIR=str(here.path))
    assert done.returncode == 0, done.stderr
    return str(here.run.resolve()) in [status["run_dir"] for status in orjson.loads(done.stdout)]


def shown(master: int, words: str, seconds: float = 20.0) -> str:
    """What a terminal was sent up to `words`."""
    seen, end = "", time.monotonic() + seconds
    while words not in seen:
        ready, _, _ = select.select([master], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"{words!r} was not shown:\n{seen[-3000:]}"
        seen += os.read(master, 65_536).decode("utf-8", "replace")
    return seen


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_keys_on_a_terminal(here: Folder) -> None:
    with started(here) as process:
        master, terminal = pty.openpty()
        command = [sys.executable, "-m", "gym_mcp.cli.main", "top", str(here.run), "--interval", "0.3"]
        env = environment(TERM="xterm", COLUMNS="160", LINES="50")
        with subprocess.Popen(command, stdin=terminal, stdout=terminal, env=env, cwd=ROOT) as screen:
            shown(master, "q quit")
            for key, words in (
                (b"p", "· paused"),
                (b"r", "· running"),
                (b"+", "concurrency 8 -> 10"),
                (b"-", "concurrency 10 -> 8"),
                (b"c", "cancel the run?"),
                (b"n", "q quit"),
                (b"c", "cancel the run?"),
                (b"y", "are being finished"),
            ):
                os.write(master, key)
                shown(master, words)
            shown(master, "scored / failed / expected")
            assert screen.wait(timeout=20) == 0
        os.close(master)
        os.close(terminal)
        done = finish(process)
        assert done.returncode == 130, done.stderr
