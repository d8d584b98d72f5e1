"""The next step: published rows and rollouts, messages and calls, parallel calls, the end of the step."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Item, Reward, Transcript, assistant_message, text_of
from tests.support import SHARED, check_environment, run

NAME = "single_step_tool_use_with_argument_comparison"
DATA = SHARED / "data" / "nemo_gym" / NAME
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
RENEW: dict[str, Any] = {"name": "renew", "arguments": {"book": "B77"}}
ONE = {"type": "function_call", "name": "note", "arguments": '{"text": "two red keys", "n": 1}'}
OUTPUT: Item = {"type": "function_call_output", "call_id": "c", "output": "The call is recorded."}


def environment(**settings: Any) -> type[Environment[Any]]:
    return load_environment(NAME, settings)


def call(name: str, **arguments: Any) -> Item:
    return {"type": "function_call", "call_id": "c", "name": name, "arguments": json.dumps(arguments)}


def verify(action: Any, *items: Item, **settings: Any) -> Reward:
    cls = environment(**settings)
    episode = cls()
    row = {"id": "t", "prompt": "q", "data": {"expected_action": action}}
    episode.task = parse_task(cls, row, "row")
    reward = episode.verify(Transcript(list(items)))
    assert isinstance(reward, Reward)
    return reward


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 12


def test_a_quarter_of_the_bundled_tasks_expects_a_message() -> None:
    tasks = list(load_tasks(environment()))
    assert sum(not task.data.calls for task in tasks) / len(tasks) == environment().floor


def test_a_message_is_due() -> None:
    due = {"type": "message", "content": "Which book?"}
    said = assistant_message("Which one do you mean?")
    assert verify(due, said).score == 1.0
    assert verify(due, said, call("renew", book="B77")).notes == "a call where a message is due"
    assert verify(due, assistant_message(" \n")).score == 0.0
    assert verify(due).notes == "neither call nor message"


def test_a_call_is_due() -> None:
    good = call("note", text="two red keys", n=1)
    assert verify(ONE, good) == Reward(1.0, {"matched": 1.0}, "1 of 1 expected calls among 1")
    assert verify(ONE, assistant_message("I note it."), good).score == 1.0
    assert verify(ONE, assistant_message("I note it.")).notes == "no call where note is due"


@pytest.mark.parametrize(
    "made",
    [
        call("notes", text="two red keys", n=1),
        call("note", text="two red keys", n=1.0),
        call("note", text="two red keys", n=2),
        call("note", text="two red keys"),
        call("note", text="two red keys", n=1, x=0),
        call("note", text="three blue mugs", n=1),
        {"type": "function_call", "name": "note", "arguments": "{"},
    ],
)
def test_another_call_fails(made: Item) -> None:
    assert verify(ONE, made).score == 0.0


def test_the_threshold_is_a_declared_option() -> None:
    made = call("note", text="one red mug here", n=1)
    assert verify(ONE, made).score == 1.0
    assert verify(ONE, made, string_threshold=0.2).score == 0.0
    assert verify(ONE, call("note", text="mugs", n=1), string_threshold=0).score == 1.0
    with pytest.raises(UsageError, match="option string_threshold"):
        environment(string_threshold=0.6)


@pytest.mark.parametrize(
    ("parallel", "scores"),
    [
        ("ignore", (1.0, 1.0, 0.0)),
        ("binary", (1.0, 0.0, 0.0)),
        ("fraction", (1.0, 2 / 3, 0.5)),
        ("f1", (1.0, 0.8, 2 / 3)),
    ],
)
def test_parallel_calls(parallel: str, scores: tuple[float, ...]) -> None:
    expected = [RENEW, {"name": "renew", "arguments": {"book": "B12"}}]
    one, two, more = call("renew", book="B77"), call("renew", book="B12"), call("loans")
    steps: list[list[Item]] = [[two, one], [more, one, two], [one]]
    assert tuple(verify(expected, *s, parallel=parallel).score for s in steps) == pytest.approx(scores)


def test_only_the_first_step_counts() -> None:
    good, bad = call("renew", book="B77"), call("renew", book="B0")
    assert verify(RENEW, bad, OUTPUT, good).score == 0.0
    assert verify(RENEW, good, OUTPUT, bad).score == 1.0
    assert verify([RENEW, RENEW], good, OUTPUT, good, OUTPUT, bad).score == 1.0
    assert verify({"type": "message"}, call("loans"), OUTPUT, assistant_message("Two books.")).score == 0.0


def test_the_expected_number_of_calls_ends_the_episode() -> None:
    async def play() -> tuple[bool, bool]:
        tools = [{"name": "renew", "parameters": {"type": "object", "required": ["book"]}}]
        row = {"id": "t", "prompt": "q", "data": {"tools": tools, "expected_action": [RENEW, RENEW]}}
        async with DirectClient(environment()) as client:
            episode = await client.open_episode(parse_task(environment(), row, "row"), seed=0)
            first, second = [await episode.agent.call("renew", {}) for _ in range(2)]
            assert not first.is_error and not second.is_error
            return first.ended, second.ended

    assert run(play) == (False, True)


@pytest.mark.parametrize(
    "action",
    [None, [], {"type": "message", "content": 3}, {"type": "function_call", "name": "f", "arguments": "[1]"}],
)
def test_rows_that_do_not_fit_are_refused(action: Any) -> None:
    with pytest.raises(UsageError, match=r"rows\.jsonl:7: expected_action"):
        parse_task(environment(), {"id": "x", "data": {"expected_action": action}}, "rows.jsonl:7")


@needs_data
def test_published_rows_are_solved() -> None:
    tasks = list(load_tasks(environment(), DATA / "example.jsonl"))
    assert all(task.data.tools for task in tasks)
    assert run(check_environment, environment(), tasks) == 5


@needs_data
def test_recorded_rollouts_get_their_recorded_reward() -> None:
    tasks = {_said(task.prompt): task for task in load_tasks(environment(), DATA / "example.jsonl")}
    seen = 0
    for recorded in read_rows(DATA / "example_rollouts.jsonl"):
        task = tasks[_said(recorded["responses_create_params"]["input"])]
        reward = verify((task.raw or {})["expected_action"], *recorded["response"]["output"])
        assert reward.score == recorded["reward"], recorded["category"]
        seen += 1
    assert seen == len(tasks) == 5


def _said(items: Any) -> str:
    return "\n".join(text_of(item) for item in items if item.get("role") == "user")
