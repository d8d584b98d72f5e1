"""GPQA Diamond: published rows, what is extracted, rows that do not fit."""

from __future__ import annotations

from typing import Any

import pytest

from gym_mcp.datasets import load_tasks, parse_task
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Reward, Transcript, assistant_message
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "gpqa_diamond"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
ROW = {"options": [{"A": "one"}, {"B": "two"}, {"C": None}], "expected_answer": "B"}


def environment() -> type[Environment[Any]]:
    return load_environment("gpqa_diamond")


def verify(data: dict[str, Any], *messages: str) -> Reward:
    episode = environment()()
    episode.task = parse_task(environment(), {"id": "t", "prompt": "q", "data": data}, "row")
    reward = episode.verify(Transcript([assistant_message(m) for m in messages]))
    assert isinstance(reward, Reward)
    return reward


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 12


@needs_data
def test_published_rows_are_solved() -> None:
    tasks = list(load_tasks(environment(), DATA / "example.jsonl"))
    assert run(check_environment, environment(), tasks) == 5


@needs_data
@pytest.mark.parametrize("form", ["Answer: %s", "**Answer:** %s", "\\boxed{%s}", "\\boxed{\\text{%s}}"])
def test_published_rows_take_every_form(form: str) -> None:
    for task in load_tasks(environment(), DATA / "example.jsonl"):
        episode = environment()()
        episode.task = task
        said = form % task.data.expected_answer
        assert episode.verify(Transcript([assistant_message(said)])).score == 1.0


def test_the_last_word_counts() -> None:
    assert verify(ROW, "Answer: A", "Answer: B") == Reward(1.0, {"extracted": 1.0}, "B in the last `Answer:`", "B")
    assert verify(ROW, r"\boxed{B} or \boxed{A}").score == 0.0


def test_a_letter_that_is_no_option_was_not_extracted() -> None:
    reward = verify({**ROW, "expected_answer": "C"}, "Answer: C")
    assert reward == Reward(0.0, {"extracted": 0.0}, "the last `Answer:` says C, which is no option", "")


def test_output_regex_comes_first() -> None:
    data = {**ROW, "template_metadata": {"output_regex": "<<(.)>>", "weight": 1}}
    assert verify(data, "<<b>> Answer: A").score == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expected_answer": None}, "expected_answer: "),
        ({"options": []}, "options: "),
        ({"template_metadata": {"output_regex": "(["}}, r"output_regex\.0: .*not a regular expression"),
    ],
)
def test_rows_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=rf"rows\.jsonl:3: .*{message}"):
        parse_task(environment(), {"id": "x", "data": {**ROW, **change}}, "rows.jsonl:3")
