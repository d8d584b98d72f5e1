"""Three rewards for one call: each part alone, published rows and rollouts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Item, Reward, Transcript, assistant_message
from tests.support import SHARED, play_solution, run

DATA = SHARED / "data" / "nemo_gym" / "example_tool_call_multireward"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
ROW = {"expected_call": {"name": "get_weather", "arguments": {"city": "Oslo"}}}


def environment() -> type[Environment[Any]]:
    return load_environment("example_tool_call_multireward")


def verify(data: dict[str, Any], *items: Item) -> Reward:
    episode = environment()()
    episode.task = parse_task(environment(), {"id": "t", "prompt": "q", "data": data}, "row")
    reward = episode.verify(Transcript(list(items)))
    assert isinstance(reward, Reward)
    return reward


def call(name: str = "get_weather", **arguments: Any) -> Item:
    return {"type": "function_call", "call_id": "c", "name": name, "arguments": json.dumps(arguments)}


async def solve(rows: Any) -> list[float]:
    async with DirectClient(environment()) as client:
        return [(await play_solution(client, task)).reward.score for task in rows]


def test_bundled_tasks() -> None:
    assert run(solve, load_tasks(environment())) == [3.0] * 12


@pytest.mark.parametrize(
    ("items", "parts"),
    [
        ([call(city="Oslo")], (1, 1, 1)),
        ([call(city="Oslo"), assistant_message("It is sunny.")], (1, 1, 0)),
        ([assistant_message(" "), call(city="Oslo")], (1, 1, 1)),
        ([call(city="Bergen")], (0, 1, 1)),
        ([call(town="Oslo")], (0, 0, 1)),
        ([call("weather", city="Oslo")], (0, 0, 1)),
        ([call(city="Oslo"), call(city="Bergen")], (1, 1, 0)),
        ([call(city="Oslo"), call(city=3)], (1, 0, 0)),
        ([{"type": "function_call", "name": "get_weather", "arguments": "{"}], (0, 0, 1)),
        ([assistant_message("It is sunny.")], (0, 0, 0)),
        ([], (0, 0, 0)),
    ],
)
def test_each_part_alone(items: list[Item], parts: tuple[int, ...]) -> None:
    reward = verify(ROW, *items)
    assert tuple(reward.components.values()) == parts
    assert tuple(reward.components) == ("correctness", "schema_valid", "format")
    assert reward.score == sum(parts)


def test_the_call_ends_the_episode() -> None:
    async def play() -> tuple[str, bool, bool]:
        async with DirectClient(environment()) as client:
            task = parse_task(environment(), {"id": "t", "prompt": "q", "data": ROW}, "row")
            episode = await client.open_episode(task, seed=0)
            refused = await episode.agent.call("get_weather", {"city": 3})
            done = await episode.agent.call("get_weather", {"city": "Oslo"})
            return done.text, refused.ended, done.ended

    assert run(play) == ('{"city":"Oslo","weather_description":"The weather in Oslo is sunny."}', False, True)


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match=r"rows\.jsonl:3: expected_call"):
        parse_task(environment(), {"id": "x", "data": {}}, "rows.jsonl:3")


@needs_data
def test_published_rows_are_solved() -> None:
    assert run(solve, load_tasks(environment(), DATA / "example.jsonl")) == [3.0] * 5


@needs_data
def test_recorded_rollouts_get_their_recorded_rewards() -> None:
    rows = list(read_rows(DATA / "example.jsonl"))
    seen = 0
    for recorded in read_rows(DATA / "example_rollouts.jsonl"):
        row = rows[recorded["_ng_task_index"]]
        reward = verify({"expected_call": row["expected_call"]}, *recorded["response"]["output"])
        assert reward.score == recorded["reward"]
        assert reward.components == recorded["reward_components"]
        seen += 1
    assert seen == 5
