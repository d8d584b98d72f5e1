"""The alternate universe: published rows and recorded results, membership of numbers, calls without a value."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gym_mcp.coordinator.score import TaskIndex, recorded, score_all
from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import EnvironmentFailure, UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Call, Reward, ToolResult, Transcript
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "math_advanced_calculations"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")


def environment() -> type[Environment[Any]]:
    return load_environment("math_advanced_calculations")


async def play(row: dict[str, Any], *calls: Call) -> tuple[Reward, list[ToolResult]]:
    cls = environment()
    async with DirectClient(cls) as client:
        episode = await client.open_episode(parse_task(cls, {"id": "t", **row}, "row"), seed=0)
        results = [await episode.agent.call(call.name, call.arguments) for call in calls]
        return (await episode.verify(Transcript())).reward, results


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 12


@needs_data
def test_published_rows_are_solved() -> None:
    tasks = list(load_tasks(environment(), DATA / "example.jsonl"))
    assert run(check_environment, environment(), tasks) == 5


@needs_data
def test_recorded_rollouts_get_their_rewards() -> None:
    path = DATA / "example_rollouts.jsonl"
    cls = environment()
    index = TaskIndex.of(load_tasks(cls, path))

    async def score() -> list[bool]:
        async with DirectClient(cls) as client:
            lines = score_all(client, recorded(cls, path, index))
            return [line["reward"] == line["recorded_reward"] async for line in lines]

    assert run(score) == [True] * 5


@needs_data
def test_recorded_calls_give_recorded_results() -> None:
    for row in read_rows(DATA / "example_rollouts.jsonl"):
        output = row["response"]["output"]
        calls = [Call(i["name"], **json.loads(i["arguments"])) for i in output if i["type"] == "function_call"]
        expected = [json.loads(i["output"]) for i in output if i["type"] == "function_call_output"]
        _, results = run(play, {"expressions": ["pi"]}, *calls)
        assert [json.loads(result.text) for result in results] == expected


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (Call("add", a=1, b=2), 4.2),
        (Call("subtract", a=1, b=2), -4.0),
        (Call("multiply", a=2, b=5), 11.0),
        (Call("divide", a=3, b=2), 0.75),
        (Call("power", a=2, b=-2), 1.0),
        (Call("log", a=1, base=-9), 0.0),
        (Call("sin", radians=0), 1.0),
        (Call("cos", radians=0), 0.0),
        (Call("pi"), 2.718281828459045),
        (Call("negate", a=3), 3.0),
        (Call("return_constant", a=3), 3.0),
    ],
)
def test_the_universe(call: Call, value: float) -> None:
    reward, results = run(play, {"ground_truth": [value]}, call)
    assert json.loads(results[0].text) == {"solution": pytest.approx(value)}
    assert reward.score == 1.0


def test_every_number_must_have_been_returned() -> None:
    row = {"ground_truth": "[4.2, 11.0, 4.2]"}
    reward, _ = run(play, row, Call("multiply", a=2, b=5), Call("add", a=1, b=2))
    assert reward == Reward(1.0, {"found": 1.0}, "tools returned every number")
    reward, _ = run(play, row, Call("add", a=1, b=2))
    assert reward.score == 0.0 and reward.notes == "no tool returned 11.0"
    assert reward.components == {"found": pytest.approx(2 / 3)}


@pytest.mark.parametrize(
    "call",
    [
        Call("divide", a=1, b=0),
        Call("log", a=-1, base=2),
        Call("log", a=1, base=-0.5),
        Call("power", a=-2, b=0.5),
        Call("power", a=1e300, b=3),
        Call("power", a=0, b=-3),
        Call("multiply", a=1e308, b=10),
        Call("add", a="1", b=2),
        Call("pi", a=1),
    ],
)
def test_calls_without_a_value_are_errors_to_read(call: Call) -> None:
    reward, results = run(play, {"ground_truth": [1.0]}, call)
    assert results[0].is_error and reward.score == 0.0


def test_a_published_prompt_without_numbers() -> None:
    prompt = "Get me the values for 2.0, -(3.0) and (pi ** 1.0) using only the given tools."
    calls = [Call("return_constant", a=2.0), Call("negate", a=3.0), Call("pi")]
    reward, results = run(play, {"prompt": prompt}, *calls)
    assert reward.score == 0.0
    e = json.loads(results[-1].text)["solution"]
    reward, _ = run(play, {"prompt": prompt}, *calls, Call("power", a=e, b=1.0))
    assert reward.score == 1.0


def test_a_row_without_anything_to_evaluate() -> None:
    with pytest.raises(EnvironmentFailure, match="expressions in a known form"):
        run(play, {"prompt": "What is 1 + 1?"})


@pytest.mark.parametrize("value", ["1, 2", [], "[]", ["x"], 3])
def test_rows_that_do_not_fit_are_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="rows:2: ground_truth"):
        parse_task(environment(), {"id": "x", "ground_truth": value}, "rows:2")
