"""Chat completions as Responses, through the model."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses import Response as WireResponse
from pydantic import TypeAdapter

from gym_mcp.errors import ModelError
from gym_mcp.models.base import Request
from gym_mcp.models.chat_answer import chat_usage
from gym_mcp.models.openai_chat import OpenAIChat
from gym_mcp.types import ToolSpec, text_of, user_message
from tests.endpoint import call

LOCAL = "http://127.0.0.1:1/v1"
ADD = ToolSpec("add", "Add.", {"type": "object", "properties": {}}).as_function()
EMPTY = Request([])


def completion(message: Any, finish: str | None = "stop", **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "chatcmpl-7", "object": "chat.completion", "model": "served", "choices": [choice], **fields}


def decode(message: Any, finish: str | None = "stop", request: Request = EMPTY) -> Any:
    return OpenAIChat("m", base_url=LOCAL).decode(completion(message, finish), request)


def chat_call(arguments: Any, **fields: Any) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": "add", "arguments": arguments}, **fields}


def test_text() -> None:
    response = decode({"role": "assistant", "content": "hi"})
    assert [text_of(i) for i in response.output] == ["hi"]
    assert (response.id, response.model, response.status) == ("chatcmpl-7", "served", "completed")


def test_reasoning_text_and_calls_in_that_order() -> None:
    message = {"content": "I add.", "reasoning_content": "hm", "tool_calls": [chat_call("{}")]}
    response = decode(message, "tool_calls")
    assert [i["type"] for i in response.output] == ["reasoning", "message", "function_call"]
    assert response.output[0]["content"] == [{"type": "reasoning_text", "text": "hm"}]


def test_items_have_the_form_of_the_responses_api() -> None:
    message = {"content": "I add.", "reasoning": "hm", "refusal": "no", "tool_calls": [chat_call("{}")]}
    output: Any = WireResponse.model_fields["output"].annotation
    items = TypeAdapter(output).validate_python(decode(message).output)
    assert len(items) == 3


@pytest.mark.parametrize("arguments", ['{"amount": ', "", "null", '{"a":1}', "{'a': 1}"])
def test_argument_text_stays_as_given(arguments: str) -> None:
    assert decode({"tool_calls": [chat_call(arguments)]}).output[0]["arguments"] == arguments


@pytest.mark.parametrize(("arguments", "text"), [({"a": 1}, '{"a":1}'), (None, "")])
def test_arguments_that_are_no_text_become_one(arguments: Any, text: str) -> None:
    assert decode({"tool_calls": [chat_call(arguments)]}).output[0]["arguments"] == text


@pytest.mark.parametrize("missing", [None, "", 7])
def test_missing_call_ids_are_counted_through_the_conversation(missing: Any) -> None:
    message = {"tool_calls": [chat_call("{}", id=missing), chat_call("{}"), chat_call("{}", id=missing)]}
    assert [i["call_id"] for i in decode(message).output] == ["call_0", "c1", "call_2"]
    later = Request([call("add", {}, "call_0"), call("add", {}, "c1"), call("add", {}, "call_2")])
    assert [i["call_id"] for i in decode(message, request=later).output] == ["call_3", "c1", "call_5"]


def test_an_empty_answer_is_an_empty_message() -> None:
    content: Any
    for content in (None, "", []):
        output = decode({"content": content}).output
        assert [(i["type"], text_of(i)) for i in output] == [("message", "")]


def test_content_in_parts_and_refusals() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert text_of(decode({"content": parts}).output[0]) == "ab"
    refused = decode({"content": None, "refusal": "I will not."}).output[0]
    assert refused["content"] == [{"type": "refusal", "refusal": "I will not."}]


@pytest.mark.parametrize(
    ("finish", "status", "incomplete"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        (None, "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_finish_reasons(finish: str | None, status: str, incomplete: str | None) -> None:
    response = decode({"content": "x"}, finish)
    assert (response.status, response.incomplete) == (status, incomplete)


BROKEN: list[dict[str, Any]] = [
    {},
    {"choices": []},
    {"choices": None},
    {"choices": [{"text": "hello"}]},
    {"choices": [{"message": "hello"}]},
    completion({"content": "half"}, "error"),
    completion({"content": 7}),
    completion({"tool_calls": {}}),
    completion({"tool_calls": ["add"]}),
    completion({"tool_calls": [{"id": "c", "function": {"arguments": "{}"}}]}),
    completion({"tool_calls": [{"id": "c", "function": {"name": None}}]}),
]


@pytest.mark.parametrize("body", BROKEN)
def test_broken_answers(body: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="broken answer") as caught:
        OpenAIChat("m", base_url=LOCAL).decode(body, EMPTY)
    assert caught.value.retryable


def test_a_body_for_a_local_server_and_for_openai() -> None:
    request = Request(
        [{"role": "developer", "content": "Brief."}, user_message("hi")],
        [ADD],
        {"max_output_tokens": 9, "instructions": "Be kind.", "temperature": None},
    )
    local = OpenAIChat("m", base_url=LOCAL).encode(request)
    assert [m["role"] for m in local["messages"]] == ["system", "system", "user"]
    assert local["max_tokens"] == 9
    assert set(local) == {"model", "messages", "tools", "max_tokens"}
    own = OpenAIChat("m").encode(request)
    assert [m["role"] for m in own["messages"]] == ["system", "developer", "user"]
    assert own["max_completion_tokens"] == 9


def test_reasoning_returns_only_to_a_server_that_shows_it() -> None:
    model = OpenAIChat("m", base_url=LOCAL)
    first = model.decode(completion({"reasoning": "hm", "tool_calls": [chat_call("{}")]}), EMPTY)
    result = {"type": "function_call_output", "call_id": "c1", "output": "1"}
    request = Request([user_message("q"), *first.output, result])
    assert model.encode(request)["messages"][1]["reasoning"] == "hm"
    assert "hm" not in str(OpenAIChat("m", base_url=LOCAL).encode(request))


def test_usage() -> None:
    usage = chat_usage(
        {
            "prompt_tokens": 100,
            "completion_tokens": 30,
            "total_tokens": 130,
            "prompt_tokens_details": {"cached_tokens": 64},
            "completion_tokens_details": {"reasoning_tokens": 20},
        }
    )
    assert (usage.input, usage.output, usage.cached, usage.reasoning, usage.calls) == (100, 30, 64, 20, 1)
    assert chat_usage(None).calls == 1
