"""The weather tool: texts as published, full marks for everything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.hub import load_environment
from gym_mcp.types import Transcript
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "example_single_tool_call"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")


def environment() -> type[Environment[Any]]:
    return load_environment("example_single_tool_call")


async def play(*cities: Any) -> tuple[float, dict[str, float], list[str]]:
    async with DirectClient(environment()) as client:
        task = parse_task(environment(), {"id": "t", "prompt": "weather?"}, "row")
        episode = await client.open_episode(task, seed=0)
        texts = [(await episode.agent.call("get_weather", {"city": city})).text for city in cities]
        reward = (await episode.verify(Transcript())).reward
        return reward.score, reward.components, texts


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 12


def test_text_and_reward() -> None:
    score, components, texts = run(play, "Köln")
    assert (score, components) == (1.0, {"calls": 1.0})
    assert texts == ['{"city": "Köln", "weather_description": "The weather in Köln is cold."}']
    assert run(play)[0] == 1.0


def test_a_city_is_a_text() -> None:
    _, components, texts = run(play, 7)
    assert components == {"calls": 0.0}
    assert texts[0].startswith("Invalid arguments for get_weather: city")


@needs_data
def test_published_rows_are_solved() -> None:
    tasks = list(load_tasks(environment(), DATA / "example.jsonl"))
    assert run(check_environment, environment(), tasks) == 5


@needs_data
def test_published_rollouts_give_the_recorded_texts_and_rewards() -> None:
    seen = 0
    for recorded in read_rows(DATA / "example_rollouts.jsonl"):
        output = recorded["response"]["output"]
        cities = [json.loads(item["arguments"])["city"] for item in output if item["type"] == "function_call"]
        score, _, texts = run(play, *cities)
        assert texts == [item["output"] for item in output if item["type"] == "function_call_output"]
        assert score == recorded["reward"]
        seen += len(texts)
    assert seen == 3
