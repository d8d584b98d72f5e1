"""The Responses dialect: what goes out, what comes in, both checked against OpenAI's own types."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses import Response as WireResponse
from openai.types.responses import ResponseInputParam
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from gym_mcp.errors import ModelError
from gym_mcp.models.base import Request
from gym_mcp.models.openai import OpenAIResponses, usage_of
from gym_mcp.types import ToolSpec, user_message
from tests.endpoint import Reply, as_responses, call, message

LOCAL = "http://127.0.0.1:1/v1"
ADD = ToolSpec("add", "Add.", {"type": "object", "properties": {"amount": {"type": "integer"}}}).as_function()
REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "encrypted_content": "gAAAA",
}
EMPTY = Request([])


def answer(*items: Any, **fields: Any) -> dict[str, Any]:
    return {**as_responses(Reply(items), {"model": "m"}, 0), **fields}


def test_what_the_scripted_endpoint_serves_is_a_response() -> None:
    for reply in (
        Reply([message("hi")]),
        Reply([call("add", {"amount": 1})]),
        Reply([message("cut")], incomplete="max_output_tokens"),
    ):
        WireResponse.model_validate(as_responses(reply, {"model": "m", "tools": [ADD]}, 0), strict=True)


def test_a_body_is_what_the_api_takes() -> None:
    items = [
        user_message("Add one."),
        REASONING,
        call("add", {"amount": 1}),
        {"type": "function_call_output", "call_id": "call_1", "output": "1"},
        message("done"),
        user_message("Again."),
    ]
    model = OpenAIResponses("gpt-5-mini", params={"temperature": 0.5})
    body = model.encode(Request(items, [ADD], {"max_output_tokens": 100, "reasoning": {"effort": "low"}}))
    TypeAdapter(ResponseCreateParamsNonStreaming).validate_python(body)
    TypeAdapter(ResponseInputParam).validate_python(body["input"])
    assert body == {
        "model": "gpt-5-mini",
        "input": items,
        "tools": [ADD],
        "store": False,
        "temperature": 0.5,
        "max_output_tokens": 100,
        "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
    }


@pytest.mark.parametrize(
    "name", ["gpt-5", "gpt-5.2-codex", "o3", "o4-mini", "ft:o4-mini:me", "gpt-10", "codex-mini"]
)
def test_encrypted_reasoning_is_asked_of_openais_reasoning_models(name: str) -> None:
    assert OpenAIResponses(name).encode(EMPTY)["include"] == ["reasoning.encrypted_content"]
    assert "include" not in OpenAIResponses(name, base_url=LOCAL).encode(EMPTY)


@pytest.mark.parametrize("name", ["gpt-4o", "gpt-4.1-mini", "gpt-5-chat-latest", "gpt-oss-120b", "omni"])
def test_and_not_of_the_others(name: str) -> None:
    assert "include" not in OpenAIResponses(name).encode(EMPTY)


def test_include_and_store_may_be_set() -> None:
    asked = OpenAIResponses("m", base_url=LOCAL, params={"include": ["reasoning.encrypted_content"]})
    assert asked.encode(EMPTY)["include"] == ["reasoning.encrypted_content"]
    assert OpenAIResponses("gpt-5", params={"include": []}).encode(EMPTY)["include"] == []
    stored = OpenAIResponses("gpt-5", params={"store": True}).encode(EMPTY)
    assert stored["store"] is True
    assert "include" not in stored


def test_output_items_stay_untouched() -> None:
    model = OpenAIResponses("m", base_url=LOCAL)
    items = [REASONING, {"type": "web_search_call", "odd": [1]}, call("add", '{"amount": '), message("hi")]
    response = model.decode(answer(*items), EMPTY)
    assert response.output == items
    assert all(a is b for a, b in zip(response.output, items, strict=True))
    assert model.encode(Request(response.output))["input"] == items


def test_incomplete() -> None:
    model = OpenAIResponses("m", base_url=LOCAL)
    response = model.decode(
        answer(message("x"), status="incomplete", incomplete_details={"reason": "content_filter"}), EMPTY
    )
    assert (response.status, response.incomplete) == ("incomplete", "content_filter")
    assert model.decode(answer(status="incomplete", incomplete_details=None), EMPTY).incomplete == "unknown"


@pytest.mark.parametrize("status", ["failed", "cancelled", "in_progress", 7])
def test_a_response_that_is_none(status: Any) -> None:
    with pytest.raises(ModelError, match=f"status {status}"):
        OpenAIResponses("m", base_url=LOCAL).decode(answer(status=status), EMPTY)


BROKEN: list[dict[str, Any]] = [
    {},
    {"output": None},
    {"output": {"type": "message"}},
    {"output": ["hello"]},
    {"output": [{"role": "assistant"}]},
    {"output": [{"type": "function_call", "name": "add", "call_id": "c"}]},
    {"output": [{"type": "function_call", "name": "add", "call_id": None, "arguments": "{}"}]},
    {"output": [{"type": "function_call", "name": "add", "call_id": "c", "arguments": {"amount": 1}}]},
]


@pytest.mark.parametrize("body", BROKEN)
def test_broken_answers(body: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="broken answer") as caught:
        OpenAIResponses("m", base_url=LOCAL).decode(body, EMPTY)
    assert caught.value.retryable


def test_usage() -> None:
    full = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 64},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 130,
    }
    usage = usage_of(full)
    assert (usage.input, usage.output, usage.cached, usage.reasoning, usage.calls) == (100, 30, 64, 20, 1)
    nonsense = {"input_tokens": "many", "output_tokens": -1, "input_tokens_details": None}
    odd: Any
    for odd in (None, [], nonsense, {"input_tokens": True}):
        usage = usage_of(odd)
        assert (usage.total, usage.calls) == (0, 1)
