"""Structured outputs: published rows and rollouts, the graded text, calls, options, rows that do not fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Item, Reward, Transcript, assistant_message
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "structured_outputs"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
FILES = ["example.jsonl", "structured_outputs_v3_example.jsonl", "structured_outputs_v4_example.jsonl"]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}, "tags": {"type": "array"}}}
TEXT: dict[str, Any] = {"schema_str": json.dumps(SCHEMA)}
CALL: dict[str, Any] = {
    **TEXT,
    "response_mode": "tool_call",
    "tools": [{"name": "submit"}, {"name": "other"}],
    "tool_name": "submit",
    "tool_payload_key": "record",
}
GOOD = {"n": 1, "tags": []}


def environment(**options: Any) -> type[Environment[Any]]:
    return load_environment("structured_outputs", options)


def verify(data: dict[str, Any], *items: str | Item, **options: Any) -> Reward:
    """The reward, without an episode around it: `verify` is pure here."""
    cls = environment(**options)
    episode = cls()
    episode.task = parse_task(cls, {"id": "t", "prompt": "q", "data": data}, "row")
    output = [assistant_message(item) if isinstance(item, str) else item for item in items]
    reward = episode.verify(Transcript(output))
    assert isinstance(reward, Reward)
    return reward


def call(arguments: Any, name: str = "submit") -> Item:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"type": "function_call", "call_id": "c", "name": name, "arguments": text}


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 15


def test_bundled_tasks_use_every_format_and_both_modes() -> None:
    rows = [task.data for task in load_tasks(environment())]
    assert {row.schema_type for row in rows} == {"json", "yaml", "toml", "xml", "csv"}
    assert {(row.response_mode, row.tool_payload_key is None) for row in rows} == {
        *(("text", True), ("tool_call", True), ("tool_call", False)),
    }


@pytest.mark.parametrize("fences", ["allow", "require"])
def test_the_solution_fits_under_other_options(fences: str) -> None:
    assert run(check_environment, environment(fences=fences, strict=False)) == 15


def test_the_whole_reply_is_the_document() -> None:
    document = json.dumps(GOOD)
    assert verify(TEXT, document) == Reward(1.0, {"parsed": 1.0}, "")
    assert verify(TEXT, document[:5], document[5:]).score == 1.0
    assert verify(TEXT, f"```json\n{document}\n```").score == 0.0
    assert verify(TEXT, f"```json\n{document}\n```", fences="allow").score == 1.0
    assert verify(TEXT, document, fences="require").notes == "no code fence"
    assert verify(TEXT, "Here: " + document).components == {"parsed": 0.0}


def test_the_schema_is_made_strict() -> None:
    assert verify(TEXT, '{"n": 1}').notes == "'tags' is a required property"
    assert verify(TEXT, '{"n": 1}', strict=False).score == 1.0
    assert verify(TEXT, '{"n": 1.5, "tags": []}').notes == "n: 1.5 is not of type 'integer'"


@pytest.mark.parametrize(
    ("form", "text", "score"),
    [
        ("yaml", "n: 1\ntags: [a]", 1.0),
        ("yaml", "n: '1'\ntags: []", 0.0),
        ("toml", "n = 1\ntags = []", 1.0),
        ("xml", "<r><n>1</n><tags><t>a</t></tags></r>", 1.0),
        ("xml", "<r><n>1</n><tags/></r>", 1.0),
        ("xml", "<r><n>one</n><tags/></r>", 0.0),
        ("xml", "<r/>", 0.0),
        ("csv", "n,tags\n1,[]\n2,[]", 1.0),
        ("csv", "n,tags\n1,[]\ntwo,[]", 0.0),
        ("csv", "n,tags", 0.0),
    ],
)
def test_formats(form: str, text: str, score: float) -> None:
    assert verify({**TEXT, "schema_type": form}, text).score == score


def test_xml_whose_root_is_the_only_key_and_csv_of_an_array() -> None:
    nested = {"type": "object", "properties": {"shop": SCHEMA}}
    data = {"schema_str": json.dumps(nested), "schema_type": "xml"}
    assert verify(data, "<shop><n>1</n><tags/></shop>").score == 1.0
    assert verify(data, "<r><shop><n>1</n><tags/></shop></r>").score == 1.0
    rows = {"schema_str": json.dumps({"type": "array", "items": SCHEMA, "maxItems": 1}), "schema_type": "csv"}
    assert verify(rows, "n,tags\n1,[]").score == 1.0
    assert verify(rows, "n,tags\n1,[]\n2,[]").score == 0.0


@pytest.mark.parametrize(
    ("items", "note"),
    [
        ([call({"record": GOOD})], ""),
        (["Done.", call({"record": GOOD, "more": 1}, "mcp__gym__submit")], ""),
        ([json.dumps(GOOD)], "0 calls, not 1"),
        ([call({"record": GOOD}), call({"record": GOOD})], "2 calls, not 1"),
        ([call({"record": GOOD}, "other")], "a call of other, not of submit"),
        ([call("{")], "the arguments are no JSON object"),
        ([call(GOOD)], "no argument `record`"),
        ([call({"record": {"n": 1}})], "'tags' is a required property"),
    ],
)
def test_calls(items: list[str | Item], note: str) -> None:
    reward = verify(CALL, *items)
    assert (reward.score, reward.notes) == (float(not note), note)


def test_a_call_without_a_payload_key() -> None:
    assert verify({**CALL, "tool_payload_key": None}, call(GOOD)).score == 1.0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"schema_str": "{"}, "schema_str: .*not JSON"),
        ({"schema_str": "[]"}, "schema_str: "),
        ({"schema_str": '{"type": "text"}'}, "schema_str: .*not a JSON Schema"),
        ({**TEXT, "schema_type": "html"}, "schema_type: "),
        ({**CALL, "tool_name": "submitt"}, "the row has no tool `submitt`"),
    ],
)
def test_rows_that_do_not_fit_are_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=rf"rows\.jsonl:7: .*{message}"):
        parse_task(environment(), {"id": "x", "data": data}, "rows.jsonl:7")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["json", "yaml", "toml", "xml", "csv"]), st.text(alphabet="<>[]{}:,\"'= \na1/", max_size=40)
)
def test_verify_never_raises(form: str, text: str) -> None:
    assert verify({**TEXT, "schema_type": form}, text).score in (0.0, 1.0)


@needs_data
@pytest.mark.parametrize("file", FILES)
def test_published_rows_are_solved(file: str) -> None:
    cls = environment()
    assert run(check_environment, cls, list(load_tasks(cls, DATA / file))) == 5


@needs_data
def test_recorded_rollouts_get_their_recorded_reward() -> None:
    rewards = []
    for recorded in read_rows(DATA / "example_rollouts.jsonl"):
        prompt = "\n".join(item["content"] for item in recorded["responses_create_params"]["input"])
        schema = {"type": "object", "properties": _first_object(prompt)}
        reward = verify({"schema_str": json.dumps(schema)}, *recorded["response"]["output"])
        assert reward.score == recorded["reward"]
        rewards.append(reward.score)
    assert sorted(rewards) == [0.0, 0.0, 0.0, 0.0, 1.0]


def _first_object(text: str) -> Any:
    """The recorded rollouts have no schema of their own: it stands in the prompt, its properties only."""
    for start, character in enumerate(text):
        if character == "{":
            try:
                return json.JSONDecoder().raw_decode(text, start)[0]
            except ValueError:
                continue
    raise AssertionError("no JSON in the prompt")
