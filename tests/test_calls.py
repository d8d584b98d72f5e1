"""Records of model calls: each message once, and token prompts that continue one another."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gym_mcp.calls import CallRecord, MessageGraph, Recorder, calls_json, fingerprint, prompt_token_ids
from gym_mcp.models.base import Request, Response, Tokens, Usage
from gym_mcp.types import Item, assistant_message, user_message

TOOLS = [{"type": "function", "name": "add", "description": "x" * 500, "parameters": {}}]


def played(turns: int) -> Recorder:
    """A conversation of `turns` calls, each of which sends all that was said before."""
    recorder, conversation = Recorder(), [user_message("go")]
    for i in range(turns):
        answer: list[Item] = [assistant_message(f"turn {i} " + "x" * 200)]
        response = Response(answer, Usage(calls=1), seq=i)
        recorder.answered(Request(list(conversation), TOOLS), response, float(i))
        conversation += [*answer, user_message(f"reply {i} " + "y" * 200)]
    return recorder


def test_the_size_is_linear_in_the_conversation() -> None:
    sizes = {n: len(orjson.dumps(played(n).as_json())) for n in (25, 50, 100)}
    assert (sizes[100] - sizes[50]) / (sizes[50] - sizes[25]) < 2.1
    assert len(played(100).graph.nodes) == 200


def test_tools_are_kept_once() -> None:
    whole = played(3).as_json()
    assert list(whole["messages"]["tools"].values()) == [TOOLS]
    assert {call["tools"] for call in whole["calls"]} == set(whole["messages"]["tools"])


def test_each_call_finds_its_messages() -> None:
    recorder = played(3)
    row = orjson.loads(orjson.dumps(recorder.as_json()))
    graph = MessageGraph({n["id"]: (n["parent"], n["item"]) for n in row["messages"]["nodes"]})
    last = row["calls"][-1]
    said = [item["role"] for item in graph.path(last["output"])]
    assert said == ["user", "assistant"] * 3
    assert [i["content"][0]["text"][:6] for i in graph.path(last["output"], last["input"])] == ["turn 2"]


def test_branches_share_what_they_have_in_common() -> None:
    graph = MessageGraph()
    stem = [user_message("a"), user_message("b")]
    one, other = graph.add([*stem, user_message("c")]), graph.add([*stem, user_message("d")])
    assert one != other
    assert len(graph.nodes) == 4


def test_the_same_words_elsewhere_are_another_node() -> None:
    graph = MessageGraph()
    graph.add([user_message("a"), user_message("a")])
    assert len(graph.nodes) == 2


def test_what_the_model_does_not_read_makes_no_difference() -> None:
    plain = {"type": "message", "role": "user", "content": "hi"}
    parts = {"role": "user", "id": "msg_1", "content": [{"type": "input_text", "text": "hi"}]}
    assert fingerprint(plain) == fingerprint(parts)
    call: dict[str, Any] = {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"}
    assert fingerprint(call) == fingerprint({**call, "id": "fc_1", "status": "completed", "prompt_token_ids": [1]})
    for change in ({"call_id": "d"}, {"name": "sub"}, {"arguments": "{ }"}):
        assert fingerprint(call) != fingerprint({**call, **change})
    assert fingerprint(plain) != fingerprint({**plain, "role": "developer"})
    assert fingerprint(plain) != fingerprint({**plain, "content": "ho"})


def test_content_that_json_cannot_hold_is_hashed_too() -> None:
    graph = MessageGraph()
    graph.add([{"type": "message", "role": "user", "content": "\ud800"}, {"type": "x", "n": 2**70}])
    assert len(graph.nodes) == 2


def tokens_of(prompt: list[int], generation: list[int]) -> Tokens:
    return Tokens(prompt, generation, [-0.5] * len(generation))


def record(seq: int, tokens: Tokens | None) -> CallRecord:
    return CallRecord(seq, 0.0, tokens=tokens)


def test_prompts_of_tokens_are_kept_once() -> None:
    prompt, records = [1, 2, 3], []
    for i in range(20):
        records.append(record(i, tokens_of(list(prompt), [100 + i] * 50)))
        prompt += [100 + i] * 50 + [7, 8]
    rows = calls_json(records)
    assert [len(row["prompt_token_ids"]) for row in rows] == [3] + [2] * 19
    assert [row.get("prompt_continues") for row in rows] == [None, *range(19)]
    for original in records:
        assert original.tokens is not None
        assert prompt_token_ids(rows, original.seq) == original.tokens.prompt


@given(st.lists(st.tuples(st.lists(st.integers(0, 2), max_size=5), st.lists(st.integers(0, 2), max_size=3))))
def test_every_prompt_can_be_read_back(calls: list[tuple[list[int], list[int]]]) -> None:
    records = [record(i, tokens_of(prompt, generation)) for i, (prompt, generation) in enumerate(calls)]
    rows = calls_json(records)
    assert [prompt_token_ids(rows, i) for i in range(len(calls))] == [prompt for prompt, _ in calls]


def test_calls_without_tokens_have_no_token_fields() -> None:
    (row,) = calls_json([record(0, None)])
    assert not {"prompt_token_ids", "generation_token_ids", "generation_log_probs"} & row.keys()
