"""Graphwalks: published rows, the last line, F1; the generator's searches."""

from __future__ import annotations

import itertools
import random
import time
from typing import Any

import pytest

from gym_mcp.datasets import load_tasks, parse_task
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Transcript, assistant_message
from tests.support import SHARED, check_environment, run
from tool_servers.graphwalks.generate import make_graph, parents, reached

DATA = SHARED / "data" / "nemo_gym" / "graphwalks"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")


def environment() -> type[Environment[Any]]:
    return load_environment("graphwalks")


def score(expected: Any, *messages: str) -> float:
    episode = environment()()
    episode.task = parse_task(environment(), {"id": "t", "prompt": "q", "expected_answer": expected}, "row")
    reward = episode.verify(Transcript([assistant_message(m) for m in messages]))
    return float(reward.score)


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 14


@needs_data
def test_published_rows_are_solved() -> None:
    tasks = list(load_tasks(environment(), DATA / "example.jsonl"))
    assert run(check_environment, environment(), tasks) == 5


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Final Answer: [a, b]", 1.0),
        ("I walk.\n\n**Final Answer: [b,a]**\n \n", 1.0),
        ("Final Answer:[a , b, a]", 1.0),
        ("Final Answer: [a]", 2 / 3),
        ("Final Answer: [a, b, c, d]", 2 / 3),
        ("Final Answer: [c]", 0.0),
        ("Final Answer: []", 0.0),
        ('Final Answer: ["a", "b"]', 0.0),
        ("Final Answer: [a, b]\nThat is all.", 0.0),
        ("final answer: [a, b]", 0.0),
        ("[a, b]", 0.0),
        ("", 0.0),
    ],
)
def test_scores(reply: str, expected: float) -> None:
    assert score('["a", "b"]', reply) == pytest.approx(expected)


def test_empty_sets() -> None:
    assert score([], "Final Answer: []") == 1.0
    assert score([], "Final Answer: [ , ]") == 1.0
    assert score([], "Final Answer: [a]") == 0.0
    assert score([], "") == 0.0


def test_messages_are_one_text() -> None:
    assert score(["a"], "Final Answer", ": [a]") == 1.0


@pytest.mark.parametrize("value", ["a, b", "3", None, [["a"], 1], {"a": 1}])
def test_rows_that_do_not_fit_are_refused(value: Any) -> None:
    if isinstance(value, list):  # anything in a list has a name
        assert parse_task(environment(), {"data": {"expected_answer": value}}, "r").data.expected_answer
        return
    with pytest.raises(UsageError, match="rows:1: expected_answer: "):
        parse_task(environment(), {"data": {"expected_answer": value}}, "rows:1")


def test_the_generators_searches() -> None:
    graph = make_graph(random.Random(1), 40)
    start = next(iter(graph))
    assert parents(graph, start) == set()
    levels = [reached(graph, start, depth) for depth in range(6)]
    assert levels[0] == {start}
    assert levels[1] == set(graph[start])
    assert sum(map(len, levels)) == len(set().union(*levels))
    for before, level in itertools.pairwise(levels):
        assert all(parents(graph, node) & before for node in level)


def test_a_line_of_openings_is_read_in_linear_time() -> None:
    start = time.process_time()
    assert score(["a"], "Final Answer: [" * 100_000) == 0.0
    assert score(["a"], "Final Answer: [" * 100_000 + "]") == 0.0
    assert time.process_time() - start < 5.0
