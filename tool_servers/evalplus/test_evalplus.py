"""Functions against unit tests: bundled tasks, preambles, which block counts, programs that do not pass."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gym_mcp.datasets import load_tasks, parse_task
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Reward, Transcript, assistant_message
from tests.support import SHARED, check_environment, play_solution, run

DATA = SHARED / "data" / "nemo_gym" / "evalplus"
HEAD = 'def double(n: int) -> int:\n    """Twice n."""\n'
ROW = {"tests": ["assert double(2) == 4", "assert double(-1) == -2"], "entry_point": "double", "preamble": HEAD}


def environment(**settings: Any) -> type[Environment[Any]]:
    return load_environment("evalplus", settings)


def verify(reply: str, data: dict[str, Any] | None = None, **settings: Any) -> Reward:
    cls = environment(**settings)

    async def reward() -> Reward:
        async with DirectClient(cls) as client:
            task = parse_task(cls, {"id": "t", "prompt": "?", "data": data or ROW}, "row")
            episode = await client.open_episode(task, seed=0)
            return (await episode.verify(Transcript([assistant_message(reply)]))).reward

    return run(reward)


def block(program: str) -> str:
    return f"```python\n{program}\n```"


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 10


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        (block(HEAD + "    return n * 2"), 1.0),
        (block("def double(n):\n    return n + n"), 1.0),
        (block("def double(n):\n    return 4"), 0.0),
        (block("def triple(n):\n    return 3 * n"), 0.0),
        (block("def double(n):\n    return 0") + "\n" + block("def double(n):\n    return n + n"), 1.0),
        ("```python\ndef double(n):\n    return n + n\n", 0.0),
        ("```\ndef double(n):\n    return n + n\n```", 0.0),
        (block("def double(n)"), 0.0),
        ("", 0.0),
    ],
)
def test_which_program_counts(reply: str, score: float) -> None:
    assert verify(reply).score == score


def test_components_and_notes() -> None:
    half = verify(block("def double(n):\n    return abs(n) * 2"))
    assert half.components == {"extracted": 1.0, "fraction": 0.5} and half.notes.startswith(
        "test 2: AssertionError"
    )
    assert verify("hello") == Reward(0.0, {"extracted": 0.0, "fraction": 0.0}, "no closed ```python block")


def test_tests_as_one_text_that_defines_check() -> None:
    tests = "def check(candidate):\n    assert candidate(3) == 6\n\ncheck(double)"
    assert verify(block("def double(n):\n    return n * 2"), {**ROW, "tests": tests}).score == 1.0
    assert verify(block("def double(n):\n    return 4"), {**ROW, "tests": tests}).score == 0.0


def test_many_at_once_do_not_disturb_each_other() -> None:
    cls = environment()

    async def scores() -> list[float]:
        async with DirectClient(cls) as client:
            tasks = [task for task in load_tasks(cls) for _ in range(6)]
            verdicts = await asyncio.gather(*(play_solution(client, task) for task in tasks))
            return [verdict.reward.score for verdict in verdicts]

    assert run(scores) == [1.0] * 60


@pytest.mark.slow
def test_a_program_that_never_ends() -> None:
    reward = verify(block("def double(n):\n    while True: pass"), {**ROW, "tests": ROW["tests"][:1]}, seconds=0.5)
    assert reward.score == 0.0


@pytest.mark.parametrize(
    "program",
    [
        "import os\nos._exit(0)",
        "import sys\nsys.exit(0)",
        "class Any:\n    def __eq__(self, other): return True\ndef double(n): return Any()",
        "import builtins\nbuiltins.AssertionError = Exception\ndef double(n): return 0",
    ],
)
def test_programs_that_try_to_pass_without_an_answer(program: str) -> None:
    assert verify(block(program)).score == 0.0


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
def test_published_rows_hold_no_tests_and_are_refused() -> None:
    with pytest.raises(UsageError, match=r"example\.jsonl:1: tests: Field required"):
        list(load_tasks(environment(), DATA / "example.jsonl"))
