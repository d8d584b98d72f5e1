"""The counter: texts as published, isolation of episodes, exact scoring."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Transcript
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "example_session_state_mgmt"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")


def environment() -> type[Environment[Any]]:
    return load_environment("example_session_state_mgmt")


def row(**data: Any) -> dict[str, Any]:
    return {"id": "t", "prompt": "count", "data": data}


async def play(data: dict[str, Any], *calls: tuple[str, dict[str, Any]]) -> tuple[float, list[str]]:
    async with DirectClient(environment()) as client:
        episode = await client.open_episode(parse_task(environment(), row(**data), "row"), seed=0)
        texts = [(await episode.agent.call(name, arguments)).text for name, arguments in calls]
        return (await episode.verify(Transcript())).reward.score, texts


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 20


def test_named_after_its_folder() -> None:
    assert environment().name == "example_session_state_mgmt"


def test_texts_and_reward() -> None:
    score, texts = run(
        play,
        {"initial_count": 15, "expected_count": 42},
        ("increment_counter", {"count": 13}),
        ("increment_counter", {"count": 14}),
        ("get_counter_value", {}),
    )
    assert texts == ['{"success": true}', '{"success": true}', '{"count": 42}']
    assert score == 1.0


@pytest.mark.parametrize("steps", [[], [26], [28], [27, 1]])
def test_any_other_count_fails(steps: list[int]) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [("increment_counter", {"count": step}) for step in steps]
    score, _ = run(play, {"initial_count": 15, "expected_count": 42}, *calls)
    assert score == 0.0


@pytest.mark.parametrize("arguments", [{}, {"count": "3"}, {"count": 1.5}, {"count": 3, "by": 1}])
def test_bad_arguments_change_nothing(arguments: dict[str, Any]) -> None:
    calls: tuple[tuple[str, dict[str, Any]], ...] = (("increment_counter", arguments), ("get_counter_value", {}))
    _, texts = run(play, {"initial_count": 5, "expected_count": 8}, *calls)
    assert texts[0].startswith("Invalid arguments for increment_counter: ")
    assert texts[1] == '{"count": 5}'


def test_interleaved_episodes_do_not_share_a_counter() -> None:
    async def both() -> list[str]:
        cls = environment()
        async with DirectClient(cls) as client:
            task = parse_task(cls, row(initial_count=1, expected_count=2), "row")
            one, two = [await client.open_episode(task, seed=0) for _ in range(2)]
            await one.agent.call("increment_counter", {"count": 10})
            await two.agent.call("increment_counter", {"count": 100})
            return [(await e.agent.call("get_counter_value", {})).text for e in (one, two)]

    assert run(both) == ['{"count": 11}', '{"count": 101}']


def test_rows_whose_steps_do_not_lead_to_the_count_are_refused() -> None:
    bad = row(initial_count=1, expected_count=5, steps=[1, 2])
    with pytest.raises(UsageError, match=r"rows\.jsonl:3: .*steps do not lead"):
        parse_task(environment(), bad, "rows.jsonl:3")


@needs_data
def test_published_rows_are_solved() -> None:
    tasks = list(load_tasks(environment(), DATA / "example.jsonl"))
    assert run(check_environment, environment(), tasks) == 5


@needs_data
def test_published_rollouts_give_the_recorded_texts_and_rewards() -> None:
    rows = {_request(r): r for r in read_rows(DATA / "example.jsonl")}
    for recorded in read_rows(DATA / "example_rollouts.jsonl"):
        data = rows[_request(recorded)]
        calls, outputs = zip(*_recorded_calls(recorded["response"]["output"]), strict=True)
        start, goal = data["initial_count"], data["expected_count"]
        score, texts = run(play, {"initial_count": start, "expected_count": goal}, *calls)
        assert texts == list(outputs)
        assert score == recorded["reward"]


def _request(published: dict[str, Any]) -> str:
    text = published["responses_create_params"]["input"][0]["content"]
    assert isinstance(text, str)
    return text


def _recorded_calls(items: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, dict[str, Any]], str]]:
    outputs = {i["call_id"]: i["output"] for i in items if i["type"] == "function_call_output"}
    for item in items:
        if item["type"] == "function_call":
            yield (item["name"], json.loads(item["arguments"])), outputs[item["call_id"]]
