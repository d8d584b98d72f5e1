"""`gym-mcp play`: from a pipe, in a real terminal, and how a typed call is read."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.cli.calls import parse_call
from gym_mcp.errors import UsageError
from tests.cli.support import COMMAND, COUNTER, process_env

pytestmark = pytest.mark.slow  # real processes, or searches that take their time

SCHEMAS: dict[str, dict[str, Any]] = {
    "add": {"properties": {"amount": {"type": "integer"}, "note": {"type": "string"}}},
    "stop": {},
}
TASKS = '{"id": "a", "prompt": "Raise it to 2.", "target": 2}\n{"id": "b", "prompt": "And to 3.", "target": 3}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "counter.py").write_text(COUNTER)
    (tmp_path / "counter.jsonl").write_text(TASKS)
    return tmp_path


def play(folder: Path, lines: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "play", "counter.py", "--out", "run", *more]
    return subprocess.run(
        command, cwd=folder, env=process_env(), input=lines, capture_output=True, text=True, timeout=50
    )


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "run" / "rollouts.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("add amount=2", {"amount": 2}),
        ("add 2", {"amount": 2}),
        ("add 2 'so far'", {"amount": 2, "note": "so far"}),
        ('add note="a=b" -1', {"note": "a=b", "amount": -1}),
        ("add note=3", {"note": "3"}),
        ('add {"amount": 2, "x": [1]}', {"amount": 2, "x": [1]}),
        ("add two", {"amount": "two"}),
        ("add", {}),
    ],
)
def test_typed_calls(line: str, arguments: dict[str, Any]) -> None:
    assert parse_call(line, SCHEMAS) == ("add", arguments)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ad 1", "did you mean `add`?"),
        ("stop 1", "no argument is left"),
        ("add {", "no JSON object"),
        ("add 'x", "No closing quotation"),
    ],
)
def test_what_is_no_call(line: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_call(line, SCHEMAS)
    assert told in str(caught.value)


def test_a_pipe_plays_two_tasks(folder: Path) -> None:
    done = play(folder, "add amount=1\nad 1\nadd 1\nadd x\n/submit done\nadd 1\n/next\nadd 1\n/submit\n/next\n")
    assert done.returncode == 0, done.stderr
    assert "Raise it to 2." in done.stdout and "add amount=integer" in done.stdout
    for told in ("did you mean `add`?", "! Invalid arguments for add", "Score: 1 ", "! this episode is over"):
        assert told in done.stdout, told
    assert "Score: 0 " in done.stdout and "! no task is left" in done.stdout
    assert [(r["task_id"], r["reward"], r["harness"], r["model"]) for r in rows(folder)] == [
        ("a", 1.0, "play", "human"),
        ("b", 0.0, "play", "human"),
    ]


def test_a_pipe_that_ends_early_is_recorded_as_cancelled(folder: Path) -> None:
    done = play(folder, "add 1\n", "--task", "b")
    assert done.returncode == 1 and "not submitted: recorded as cancelled" in done.stderr
    (row,) = rows(folder)
    assert (row["task_id"], row["failure"]["kind"], len(row["ledger"])) == ("b", "cancelled", 1)


def test_a_hidden_score(folder: Path) -> None:
    done = play(folder, "/submit\n", "--hide-score")
    assert "Submitted and recorded." in done.stdout and "Score" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nothing.py",), "no such file"),
        (("counter.py", "--task", "c"), "no task `c`"),
        (("mcqq",), "did you mean"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], told: str, folder: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "play", *arguments], cwd=folder, env=process_env(), capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 2 and told in done.stderr
    assert sorted(os.listdir(folder)) in (
        ["counter.jsonl", "counter.py"],
        ["__pycache__", "counter.jsonl", "counter.py"],
    )


def test_in_a_terminal(folder: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(COMMAND[0], [*COMMAND, "play", "counter.py", "--out", "run"], process_env({"TERM": "dumb"}))
    try:
        _until(terminal, "> ")
        os.write(terminal, b"ad\t2\n")  # completed to `add `
        assert "\r\n2\r\n" in _until(terminal, "> ")
        os.write(terminal, b"/submit\n")
        assert "Score: 1 " in _until(terminal, "> ")
        os.write(terminal, b"\x04")
        _until(terminal, "eval show")
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -1), "the hang-up of the terminal may come first"
    assert rows(folder)[0]["reward"] == 1.0


def _until(terminal: int, wanted: str, seconds: float = 40.0) -> str:
    """What the terminal shows up to `wanted`."""
    deadline, seen = time.monotonic() + seconds, ""
    while wanted not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"not shown in {seconds:g} s: {wanted!r}; {seen!r}"
        seen += os.read(terminal, 65_536).decode()
    return seen
