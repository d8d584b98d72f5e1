"""MRCR: published rows, the prefix, difflib's ratio as it is defined."""

from __future__ import annotations

import difflib
from typing import Any

import pytest

from gym_mcp.datasets import load_tasks, parse_task
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Reward, Transcript, assistant_message
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "mrcr"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
GOLD = "The gull mends a map. " * 20
ROW = {"expected_answer": "k7" + GOLD, "random_string_to_prepend": "k7", "n_needles": 2}


def environment() -> type[Environment[Any]]:
    return load_environment("mrcr")


def verify(*messages: str) -> Reward:
    episode = environment()()
    episode.task = parse_task(environment(), {"id": "t", "prompt": "q", "data": ROW}, "row")
    reward = episode.verify(Transcript([assistant_message(m) for m in messages]))
    assert isinstance(reward, Reward)
    return reward


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 12


def test_bundled_answers_stand_in_the_conversation() -> None:
    for task in load_tasks(environment()):
        text = task.data.expected_answer.removeprefix(task.data.random_string_to_prepend)
        assert any(item["content"] == text for item in task.prompt if item["role"] == "assistant")


@needs_data
def test_published_rows_are_solved() -> None:
    tasks = list(load_tasks(environment(), DATA / "example.jsonl"))
    assert run(check_environment, environment(), tasks) == 5


def test_without_the_prefix_nothing_counts() -> None:
    for reply in ("", GOLD, " k7" + GOLD, "K7" + GOLD):
        assert verify(reply) == Reward(0.0, {"prefix": 0.0}, "the reply does not start with the prefix")


@pytest.mark.parametrize("text", ["", "another text", GOLD[:200], GOLD.replace("gull", "owl"), GOLD + GOLD])
def test_the_ratio_is_difflibs_reply_first(text: str) -> None:
    assert verify("k7" + text).score == difflib.SequenceMatcher(None, text, GOLD).ratio()


def test_messages_are_one_text() -> None:
    assert verify("k7" + GOLD[:50], GOLD[50:]).score == 1.0


def test_a_huge_reply_is_not_compared() -> None:
    assert verify("k7" + "x" * 500_000).notes == "the reply has more than 400,000 characters"


def test_an_answer_without_its_prefix_is_refused() -> None:
    with pytest.raises(UsageError, match=r"rows:1: .*does not start with random_string_to_prepend"):
        parse_task(environment(), {"data": {**ROW, "expected_answer": "x"}}, "rows:1")
