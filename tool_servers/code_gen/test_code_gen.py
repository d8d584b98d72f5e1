"""Competitive programming: published rows, rows that do not fit, and replies that attack the judge."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.datasets import load_tasks, parse_task
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Reward, Transcript, assistant_message
from tests.support import SHARED, check_environment, run

ROWS = SHARED / "data" / "nemo_gym" / "code_gen" / "example.jsonl"
needs_data = pytest.mark.skipif(not ROWS.is_file(), reason="needs the published rows in ../shared")
IO: dict[str, Any] = {"unit_tests": {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}}
CALL: dict[str, Any] = {"unit_tests": {"inputs": ["1\n2", "3\n4"], "outputs": ["3", "7"], "fn_name": "add"}}
ADD = "print(sum(map(int, input().split())))"

HOSTILE = {
    "fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "memory": "x = []\nwhile True: x.append(bytearray(50_000_000))",
    "disk": "n = 0\nwhile True:\n    open(f'f{n}', 'wb').write(b'x' * 10_000_000)\n    n += 1",
    "network": "import urllib.request\nprint(urllib.request.urlopen('http://127.0.0.1:1', timeout=1).read())",
    "the tests": "import os\nfor d, _, names in os.walk('/'): print(*[n for n in names if n.endswith('.jsonl')])",
    "the gold": f"print(open({str(Path(__file__).with_name('tasks.jsonl'))!r}).read())",
    "the parent": f"import os\nfor p in (os.getppid(), {os.getpid()}, 1):\n    os.kill(p, 9)",
    "the parent's memory": "import os\nprint(open(f'/proc/{os.getppid()}/mem', 'rb').read(1))",
    "endless": "while True: pass",
    "output": "while True: print('y' * 1_000_000)",
    "daemon": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(100)",
    "exit": "import os; os._exit(0)",
}


def environment(**changes: Any) -> type[Environment[Any]]:
    return load_environment("code_gen", changes)


async def _reward(cls: type[Environment[Any]], data: dict[str, Any], reply: str) -> Reward:
    async with DirectClient(cls) as client:
        task = parse_task(cls, {"id": "t", "prompt": "q", "data": data}, "row")
        episode = await client.open_episode(task, seed=0)
        return (await episode.verify(Transcript([assistant_message(reply)]))).reward


def score(data: dict[str, Any], program: str, **changes: Any) -> Reward:
    return asyncio.run(_reward(environment(**changes), data, f"```python\n{program}\n```"))


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 12


def test_components_and_notes() -> None:
    assert score(IO, ADD) == Reward(1.0, {"extracted": 1.0, "fraction": 1.0}, "all 2 tests passed")
    assert score(IO, "print(3)") == Reward(0.0, {"extracted": 1.0, "fraction": 0.5}, "test 2: another output")
    assert score(CALL, "def add(a, b): return a + b").score == 1.0
    assert score(CALL, "def add(a, b): return a * b").notes == "test 1: another value"
    nothing = asyncio.run(_reward(environment(), IO, "I cannot."))
    assert nothing == Reward(0.0, {"extracted": 0.0, "fraction": 0.0}, "no program between fences")


def test_think_tags_are_worth_nothing_unless_allowed() -> None:
    reply = f"<think>hm</think>\n```python\n{ADD}\n```"
    assert asyncio.run(_reward(environment(), IO, reply)).score == 0.0
    assert asyncio.run(_reward(environment(think_tags=True), IO, reply)).score == 1.0


def test_options() -> None:
    wrong_first = "a, b = map(int, input().split())\nprint(a + b if a > 1 else 0)"
    assert score(IO, wrong_first).components["fraction"] == 0.0
    assert score(IO, wrong_first, all_tests=True).components["fraction"] == 0.5
    assert "its time" in score(IO, "while True: pass", seconds=0.2).notes
    assert score(IO, "print(input().__class__ and numpy and 3)").score == 0.0
    with pytest.raises(UsageError, match="option seconds"):
        environment(seconds=0)


def test_forms_of_published_tests() -> None:
    as_text = {"unit_tests": json.dumps(IO["unit_tests"])}
    assert score(as_text, ADD).score == 1.0
    lists = {"unit_tests": {"inputs": [[1, 2]], "outputs": [3], "fn_name": "add"}}
    assert (
        score(lists, "class Solution:\n    def add(self, a: int, b: int) -> Optional[int]: return a + b").score
        == 1.0
    )
    lines = {"unit_tests": {"inputs": [["1 2"]], "outputs": [["3"]]}}
    assert score(lines, ADD).score == 1.0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "unit_tests: "),
        ({"unit_tests": {"inputs": [], "outputs": []}}, r"unit_tests\.inputs: "),
        ({"unit_tests": {"inputs": ["1"], "outputs": []}}, "1 inputs, but 0 outputs"),
        ({"unit_tests": "{"}, "unit_tests: "),
    ],
)
def test_rows_that_do_not_fit_are_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=rf"rows\.jsonl:7: .*{message}"):
        parse_task(environment(), {"id": "x", "data": data}, "rows.jsonl:7")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("data", [IO, CALL], ids=["program", "function"])
def test_hostile_programs_get_nothing(name: str, data: dict[str, Any]) -> None:
    started = time.monotonic()
    assert score(data, HOSTILE[name], seconds=0.5, memory_mib=512).score == 0.0
    assert time.monotonic() - started < 10
    assert score(data, ADD + "\ndef add(a, b): return a + b" if data is IO else "add = int.__add__").score == 1.0
    assert not _children()


def _children() -> list[str]:
    """Command lines of processes that a sandbox of this process has left."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            line = Path("/proc", pid, "cmdline").read_bytes().decode()
            if "sandbox_guest" in line:
                found.append(line)
    return found


@settings(max_examples=20, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=60))
def test_verify_never_raises(text: str) -> None:
    assert score(IO, text).score == 0.0


def _lookup(tests: Any) -> str:
    table = {a.strip(): b for a, b in tests.cases()}
    return f"import sys\nprint({table!r}[sys.stdin.read().strip()])"


@pytest.mark.slow
@needs_data
def test_published_rows_score_full_with_their_outputs() -> None:
    async def scores() -> list[float]:
        cls = environment()
        found = []
        async with DirectClient(cls) as client:
            for task in load_tasks(cls, ROWS):
                episode = await client.open_episode(task, seed=0)
                reply = f"```python\n{_lookup(task.data.unit_tests)}\n```"
                found.append((await episode.verify(Transcript([assistant_message(reply)]))).reward.score)
        return found

    assert asyncio.run(scores()) == [1.0] * 5


SOLVED = {
    "farthest": (1, "for _ in range(int(input())):\n    n, m, k = map(int, input().split())\n"
                 "    far = max(n, m)\n    if far > k: print(-1)\n    elif (n + m) % 2: print(k - 1)\n"
                 "    else: print(k - (k - far) % 2 * 2)"),
    "barrels": (3, "for _ in range(int(input())):\n    n, k = map(int, input().split())\n"
                "    a = sorted(map(int, input().split()))\n    print(sum(a[-k - 1:]))"),
    "permutation": (4, "for _ in range(int(input())):\n    n = int(input())\n    at = [0] * n\n"
                    "    for i, v in enumerate(map(int, input().split())): at[v - 1] = i\n"
                    "    lo, hi, s = n, 0, ''\n"
                    "    for m in range(n):\n        lo, hi = min(lo, at[m]), max(hi, at[m])\n"
                    "        s += str(int(hi - lo == m))\n    print(s)"),
}  # fmt: skip


@needs_data
@pytest.mark.parametrize("name", SOLVED)
def test_published_problems_can_be_solved(name: str) -> None:
    number, program = SOLVED[name]
    data = list(load_tasks(environment(), ROWS))[number].raw
    assert data is not None
    assert score(data, program) == Reward(
        1.0, {"extracted": 1.0, "fraction": 1.0}, f"all {len(data['unit_tests']['inputs'])} tests passed"
    )
    assert score(data, "print(0)").score == 0.0
