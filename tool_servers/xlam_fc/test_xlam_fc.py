"""Function calling: published rows, counting and matching of calls, tools from the row, the end of an episode."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gym_mcp.datasets import as_row, load_tasks, parse_task
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Item, Reward, Transcript, assistant_message
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "xlam_fc"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
SCHEMA = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
TOOLS = [{"type": "function", "name": "moon", "description": "The moon.", "parameters": SCHEMA}]
TWO = {
    "tools": TOOLS,
    "expected_answers": [
        {"name": "moon", "arguments": {"day": "1"}},
        {"name": "moon", "arguments": {"day": "2"}},
    ],
}


def environment() -> type[Environment[Any]]:
    return load_environment("xlam_fc")


def call(name: str, arguments: Any) -> Item:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"type": "function_call", "call_id": "c", "name": name, "arguments": text}


def verify(*items: Item) -> Reward:
    episode = environment()()
    episode.task = parse_task(environment(), {"id": "t", "prompt": "q", "data": TWO}, "row")
    reward = episode.verify(Transcript(list(items)))
    assert isinstance(reward, Reward)
    return reward


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 13


@needs_data
def test_published_rows_are_solved() -> None:
    tasks = list(load_tasks(environment(), DATA / "example.jsonl"))
    assert run(check_environment, environment(), tasks) == 5


@needs_data
def test_a_published_row_brings_its_tools_and_reads_back() -> None:
    task = next(iter(load_tasks(environment(), DATA / "example.jsonl")))
    assert [tool.name for tool in task.data.tools] == ["live_giveaways_by_type"]
    assert parse_task(environment(), json.loads(json.dumps(as_row(task))), "row").data == task.data


def test_order_does_not_matter_and_more_arguments_are_allowed() -> None:
    reward = verify(call("moon", {"day": "2", "hour": 3}), assistant_message("Here."), call("moon", {"day": "1"}))
    assert reward == Reward(1.0, {"matched": 1.0, "count_equal": 1.0}, "2 calls, 2 expected, 2 of these matched")


@pytest.mark.parametrize(
    ("calls", "matched"),
    [
        ([], 0.0),
        ([call("moon", {"day": "1"})], 0.5),
        ([call("moon", {"day": "1"}), call("moon", {"day": "1"})], 0.5),
        ([call("moon", {"day": "1"}), call("moon", {"day": 2})], 0.5),
        ([call("moon", {"day": "1"}), call("sun", {"day": "2"})], 0.5),
        ([call("moon", "{day: 1}"), call("moon", {"day": "2"})], 0.5),
        ([call("moon", {"day": "1"}), call("moon", {"day": "2"}), call("moon", {"day": "2"})], 1.0),
    ],
)
def test_other_calls_fail(calls: list[Item], matched: float) -> None:
    reward = verify(*calls)
    assert (reward.score, reward.components["matched"]) == (0.0, matched)


def test_names_as_some_mcp_clients_write_them() -> None:
    assert verify(call("mcp__gym__moon", {"day": "1"}), call("mcp__gym__moon", {"day": "2"})).score == 1.0


def test_calls_are_acknowledged_and_the_expected_number_ends_the_episode() -> None:
    async def play() -> list[tuple[str, bool, bool]]:
        async with DirectClient(environment()) as client:
            task = parse_task(environment(), {"id": "t", "prompt": "q", "data": TWO}, "row")
            episode = await client.open_episode(task, seed=0)
            sent: list[dict[str, Any]] = [{"day": 1, "x": []}, {}, {"day": "2"}]
            results = [await episode.agent.call("moon", arguments) for arguments in sent]
            return [(r.text, r.is_error, r.ended) for r in results]

    first, second, third = run(play)
    assert first == ("The call is recorded.", False, False)
    assert second == ("The call is recorded.", False, True)
    assert third[1:] == (True, True)


def test_rows_may_hold_json_texts_and_nulls() -> None:
    """As the data set itself has its answers, and the Responses API a function without parameters."""
    tools = [{"name": "moon", "description": None, "parameters": None}]
    for expected in ('[{"name": "moon", "arguments": {"day": 1}}]', [{"name": "moon", "arguments": '{"day": 1}'}]):
        row = {"id": "t", "prompt": "q", "data": {"tools": tools, "expected_answers": expected}}
        task = parse_task(environment(), row, "row")
        assert [(c.name, c.arguments) for c in task.data.expected_answers] == [("moon", {"day": 1})]
        assert run(check_environment, environment(), [task]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tools": []}, "tools: "),
        ({"tools": [{"description": "x"}]}, r"tools\.0\.name: "),
        ({"expected_answers": []}, "expected_answers: "),
        ({"expected_answers": [{"name": "moon", "arguments": "x"}]}, r"expected_answers\.0\.arguments: "),
    ],
)
def test_rows_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=rf"rows\.jsonl:7: .*{message}"):
        parse_task(environment(), {"id": "x", "data": {**TWO, **change}}, "rows.jsonl:7")
