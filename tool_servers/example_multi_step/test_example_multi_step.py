"""Values of synonyms: published rows and rollouts, order, the term's own value, recorded transcripts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Item, Reward, Transcript
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "example_multi_step"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
ROW: dict[str, Any] = {
    "expected_synonyms": ["ab", "b"],
    "expected_synonym_values": [195, 98],
    "minefield_label": "a",
    "minefield_label_value": 97,
}
EXTRACT = "extract_synonym_values"


def environment() -> type[Environment[Any]]:
    return load_environment("example_multi_step")


async def play(
    data: dict[str, Any], calls: list[tuple[str, dict[str, Any]]], *items: Item
) -> tuple[Reward, list[str]]:
    async with DirectClient(environment()) as client:
        task = parse_task(environment(), {"id": "t", "prompt": "values", "data": data}, "row")
        episode = await client.open_episode(task, seed=0)
        texts = [(await episode.agent.call(name, arguments)).text for name, arguments in calls]
        return (await episode.verify(Transcript(list(items)))).reward, texts


def extract(*values: Any) -> tuple[str, dict[str, Any]]:
    return EXTRACT, {"synonym_values": list(values)}


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 12


def test_texts_and_reward() -> None:
    calls = [("get_synonym_value", {"synonym": "ab"}), ("get_synonym_value", {"synonym": "b"}), extract(195, 98)]
    reward, texts = run(play, ROW, calls)
    assert texts == ['{"synonym_value": 195}', '{"synonym_value": 98}', '{"success": true}']
    assert reward.score == reward.components["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("values", "overlap", "hit", "order"),
    [
        ([98, 195], 1.0, 0.0, 1.0),
        ([195], 0.5, 0.0, 0.0),
        ([97, 195, 98], 1.0, 1.0, 0.0),
        ([], 0.0, 0.0, 0.0),
        ([195, 98, 98], 1.0, 0.0, 0.0),
    ],
)
def test_other_values_fail(values: list[int], overlap: float, hit: float, order: float) -> None:
    reward, _ = run(play, ROW, [extract(*values)])
    assert reward.score == 0.0
    assert reward.components == {
        "accuracy": 0.0,
        "set_overlap": overlap,
        "original_term_minefield_hit": hit,
        "order_instruction_following_failure": order,
    }


def test_the_last_call_counts_and_bad_arguments_are_none() -> None:
    assert run(play, ROW, [extract(1), extract(195, 98)])[0].score == 1.0
    assert run(play, ROW, [extract(195, 98), extract("195", 98)])[0].score == 1.0
    assert run(play, ROW, [extract(195, 98), extract(1)])[0].score == 0.0


def test_a_recorded_transcript_stands_in_for_the_tools() -> None:
    def item(arguments: Any) -> Item:
        return {"type": "function_call", "name": EXTRACT, "arguments": json.dumps(arguments)}

    good, bad = item({"synonym_values": [195, 98]}), item({"synonym_values": [1]})
    assert run(play, ROW, [], bad, good)[0].score == 1.0
    assert run(play, ROW, [], good, item({"synonym_values": "x"}), item([]))[0].score == 1.0
    assert run(play, ROW, [], item({"synonym_values": [195.0, True]}))[0].notes == "no values were handed over"
    assert run(play, ROW, [extract(1)], good)[0].score == 0.0  # what the tools got is certain


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match=r"rows\.jsonl:3: expected_synonym_values"):
        bad = {**ROW, "expected_synonym_values": []}
        parse_task(environment(), {"id": "x", "data": bad}, "rows.jsonl:3")


@needs_data
def test_published_rows_are_solved() -> None:
    tasks = list(load_tasks(environment(), DATA / "example.jsonl"))
    assert run(check_environment, environment(), tasks) == 5


@needs_data
def test_published_rollouts_give_the_recorded_texts_rewards_and_components() -> None:
    rows = {_asked(row): row for row in read_rows(DATA / "example.jsonl")}
    seen = 0
    for recorded in read_rows(DATA / "example_rollouts.jsonl"):
        output = recorded["response"]["output"]
        calls = [(i["name"], json.loads(i["arguments"])) for i in output if i["type"] == "function_call"]
        data = {k: v for k, v in rows[_asked(recorded)].items() if k in ROW}
        played, texts = run(play, data, calls)
        scored, _ = run(play, data, [], *output)
        assert texts == [item["output"] for item in output if item["type"] == "function_call_output"]
        assert played == scored
        assert played.score == recorded["reward"]
        assert played.components == {name: float(recorded[name]) for name in played.components}
        seen += 1
    assert seen == 5


def _asked(published: dict[str, Any]) -> str:
    return str(published["responses_create_params"]["input"][1]["content"])
