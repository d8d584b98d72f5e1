"""Follow-up questions: order, the end, the answer that counts, recorded conversations."""

from __future__ import annotations

from typing import Any

import pytest

from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Item, Reward, Transcript, assistant_message, user_message
from tests.support import SHARED, play_solution, run

DATA = SHARED / "data" / "nemo_gym" / "example_multi_turn_gymnasium"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
ROW: dict[str, Any] = {"follow_ups": ["And its moon?", "How far?"], "expected_answer": "Near"}


def environment() -> type[Environment[Any]]:
    return load_environment("example_multi_turn_gymnasium")


async def play(data: dict[str, Any], says: list[str], *items: Item) -> tuple[Reward, list[str | None]]:
    async with DirectClient(environment()) as client:
        task = parse_task(environment(), {"id": "t", "prompt": "Which planet?", "data": data}, "row")
        episode = await client.open_episode(task, seed=0)
        heard = [await episode.agent.reply(said) for said in says]
        return (await episode.verify(Transcript(list(items)))).reward, heard


async def solve(tasks: Any) -> list[float]:
    async with DirectClient(environment()) as client:
        return [(await play_solution(client, task)).reward.score for task in tasks]


def test_bundled_tasks() -> None:
    assert run(solve, load_tasks(environment())) == [1.0] * 12


def test_follow_ups_come_in_order_and_the_last_answer_counts() -> None:
    reward, heard = run(play, ROW, ["Earth", "Luna", "quite NEAR to us"])
    assert heard == ["And its moon?", "How far?", None]
    assert reward == Reward(1.0, {"turns": 3.0}, "the last answer holds it")
    assert run(play, ROW, ["near", "near", "far"])[0].score == 0.0


def test_an_early_end_fails() -> None:
    reward, _ = run(play, ROW, ["near", "near"], assistant_message("near"))
    assert reward == Reward(0.0, {"turns": 2.0}, "2 of 3 questions answered")


def test_a_recorded_conversation() -> None:
    turns = [assistant_message("Earth"), user_message("And?"), assistant_message("Luna"), user_message("Far?")]
    assert run(play, ROW, [], *turns, assistant_message("ne"), assistant_message("ar"))[0].score == 1.0
    assert run(play, ROW, ["Earth", "Luna"], *turns, assistant_message("near"))[0].score == 1.0
    assert run(play, ROW, [], *turns)[0].notes == "2 of 3 questions answered"
    assert run(play, ROW, [])[0].score == 0.0


def test_no_follow_up_is_one_turn() -> None:
    reward, heard = run(play, {"expected_answer": "x"}, ["X"])
    assert (reward.score, heard) == (1.0, [None])


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match=r"rows\.jsonl:3: expected_answer"):
        parse_task(environment(), {"id": "x", "data": {"expected_answer": ""}}, "rows.jsonl:3")


@needs_data
def test_published_rows_are_solved() -> None:
    assert run(solve, load_tasks(environment(), DATA / "example.jsonl")) == [1.0] * 5


@needs_data
def test_recorded_rollouts_get_their_recorded_reward() -> None:
    rows = list(read_rows(DATA / "example.jsonl"))
    seen = 0
    for recorded in read_rows(DATA / "example_rollouts.jsonl"):
        row = rows[recorded["_ng_task_index"]]
        data = {name: row[name] for name in ROW}
        output = recorded["response"]["output"]
        assert run(play, data, [], *output)[0].score == recorded["reward"]
        says = [item["content"][0]["text"] for item in output if item.get("role") == "assistant"]
        reward, heard = run(play, data, says)
        assert heard == [item["content"] for item in output if item.get("role") == "user"] + [None]
        assert reward.score == recorded["reward"]
        seen += 1
    assert seen == 5
