"""`anthropic/NAME`: what is sent, what is read, and whole conversations against a scripted endpoint."""

from __future__ import annotations

from typing import Any

import anthropic.types
import pytest
from anthropic.types import message_create_params
from pydantic import TypeAdapter

from gym_mcp.errors import ModelError, PromptTooLong, UsageError
from gym_mcp.models.anthropic import ANTHROPIC, Anthropic
from gym_mcp.models.base import Request, Response, Usage
from gym_mcp.models.spec import catalogue, make_model
from gym_mcp.types import Item, JSONObject, ToolSpec, assistant_message, text_of, user_message
from tests.endpoint import Endpoint, Raw, Reply, call, in_turn, message, status
from tests.support import run

LOCAL = "http://127.0.0.1:1"
ADD = ToolSpec("add", "Add.", {"type": "object", "properties": {"amount": {"type": "integer"}}}).as_function()
THINKING = {"type": "thinking", "thinking": "I add.", "signature": "c2lnbmVk"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"amount": 1}}
PNG = "iVBORw0KGgo="
WIRE: TypeAdapter[Any] = TypeAdapter(message_create_params.MessageCreateParamsNonStreaming)


def encode(items: list[Item], *, base_url: str = LOCAL, tools: bool = True, **params: Any) -> JSONObject:
    """The body of a request, which the official package must know as one."""
    model = Anthropic("claude", base_url=base_url, api_key="k")
    body = model.encode(Request(items, [ADD] if tools else [], params))
    WIRE.validate_python(body)
    return body


def decode(*content: Any, stop: str = "end_turn", **fields: Any) -> Response:
    answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": list(content)}
    model = Anthropic("claude", base_url=LOCAL)
    return model.decode({**answer, "stop_reason": stop, **fields}, Request([]))


def test_a_conversation() -> None:
    body = encode(
        [
            {"type": "message", "role": "system", "content": "Be brief."},
            user_message("hi"),
            assistant_message("Adding."),
            call("add", {"amount": 1}, "c1"),
            call("add", {"amount": 2}, "c2"),
            {"type": "function_call_output", "call_id": "c1", "output": "1"},
            {"type": "function_call_output", "call_id": "c2", "output": "3"},
            user_message("go on"),
        ]
    )
    assert body["system"] == [{"type": "text", "text": "Be brief."}]
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user"]
    assert [b["type"] for b in body["messages"][1]["content"]] == ["text", "tool_use", "tool_use"]
    assert [b.get("content", b.get("text")) for b in body["messages"][2]["content"]] == ["1", "3", "go on"]
    assert body["tools"] == [{"name": "add", "description": "Add.", "input_schema": ADD["parameters"]}]
    assert body["max_tokens"] == 16_000


def test_thinking_goes_back_as_it_was_signed() -> None:
    response = decode(THINKING, {"type": "redacted_thinking", "data": "xyz"}, USE, stop="tool_use")
    output = {"type": "function_call_output", "call_id": "toolu_1", "output": "1"}
    body = encode([user_message("hi"), *response.output, output])
    assert body["messages"][1]["content"] == [THINKING, {"type": "redacted_thinking", "data": "xyz"}, USE]


def test_others_reasoning_is_left_out() -> None:
    foreign = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
    body = encode([user_message("hi"), foreign, assistant_message("ho"), user_message("hi")])
    assert body["messages"][1]["content"] == [{"type": "text", "text": "ho"}]


def test_images_and_documents() -> None:
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}
    far = {"type": "input_image", "image_url": "https://example.com/a.png"}
    document = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}
    output = {
        "type": "function_call_output",
        "call_id": "c1",
        "output": [{"type": "input_text", "text": "t"}, image],
    }
    body = encode(
        [{"type": "message", "role": "user", "content": [image, far, document]}, call("add", {}, "c1"), output]
    )
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    first, second, third = body["messages"][0]["content"]
    assert first == {"type": "image", "source": source}
    assert second["source"] == {"type": "url", "url": "https://example.com/a.png"}
    assert (third["type"], third["source"]["media_type"], third["title"]) == (
        "document",
        "application/pdf",
        "a.pdf",
    )
    assert body["messages"][2]["content"][0]["content"][1] == {"type": "image", "source": source}


def test_system_messages_in_the_middle_become_reminders() -> None:
    late = {"type": "message", "role": "developer", "content": "Hurry."}
    body = encode([user_message("hi"), late])
    texts = [block["text"] for block in body["messages"][0]["content"]]
    assert texts == ["hi", "<system-reminder>\nHurry.\n</system-reminder>"]


def test_what_has_no_place_is_a_models_error() -> None:
    for item in ({"type": "web_search_call"}, {**user_message(""), "content": [{"type": "input_audio"}]}):
        with pytest.raises(ModelError, match="has no place"):
            encode([item])
    with pytest.raises(ModelError, match="no tools of type"):
        Anthropic("m", base_url=LOCAL).encode(Request([], [{"type": "web_search"}]))


@pytest.mark.parametrize(
    ("params", "sent"),
    [
        ({"max_output_tokens": 5}, {"max_tokens": 5}),
        ({"tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
        ({"tool_choice": {"type": "function", "name": "add"}}, {"tool_choice": {"type": "tool", "name": "add"}}),
        ({"parallel_tool_calls": False}, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}),
        ({"reasoning": {"effort": "low"}}, {"output_config": {"effort": "low"}}),
        ({"thinking": {"type": "adaptive"}}, {"thinking": {"type": "adaptive"}}),
        ({"stop": ["x"]}, {"stop_sequences": ["x"]}),
        ({"temperature": 0.5, "store": False, "include": []}, {"temperature": 0.5}),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}},
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        ),
    ],
)
def test_parameters(params: JSONObject, sent: JSONObject) -> None:
    body = encode([user_message("hi")], **params)
    assert body == {**encode([user_message("hi")]), **sent}


def test_without_tools_there_is_no_tool_choice() -> None:
    assert "tool_choice" not in encode([user_message("hi")], tools=False, tool_choice="auto")


def test_anthropics_cache_is_used_and_no_others() -> None:
    items = [{"type": "message", "role": "system", "content": "s"}, user_message("hi")]
    body = encode(items, base_url=ANTHROPIC)
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert body["messages"][-1]["content"][-1]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in str(encode(items))
    assert items == [{"type": "message", "role": "system", "content": "s"}, user_message("hi")]


def test_an_answer() -> None:
    response = decode(THINKING, {"type": "text", "text": "Adding."}, USE, stop="tool_use")
    assert [item["type"] for item in response.output] == ["reasoning", "message", "function_call"]
    assert text_of(response.output[1]) == "Adding."
    assert (response.output[2]["call_id"], response.output[2]["arguments"]) == ("toolu_1", '{"amount":1}')
    assert len({item["id"] for item in response.output}) == 3
    assert (response.id, response.model, response.incomplete) == ("msg_1", "claude-x", None)


@pytest.mark.parametrize(
    ("stop", "incomplete"),
    [
        ("max_tokens", "max_output_tokens"),
        ("model_context_window_exceeded", "max_output_tokens"),
        ("refusal", "content_filter"),
        ("stop_sequence", None),
    ],
)
def test_why_it_stopped(stop: str, incomplete: str | None) -> None:
    response = decode({"type": "text", "text": "x"}, stop=stop)
    assert (response.incomplete, response.status) == (incomplete, "incomplete" if incomplete else "completed")


def test_usage_is_counted_once() -> None:
    usage = {
        "input_tokens": 5,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 30,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    assert decode(usage=usage).usage == Usage(95, 9, 60, 4, 1)
    assert decode(usage=None).usage == Usage(calls=1)


@pytest.mark.parametrize("content", [None, "hi", [{"type": "tool_use", "id": 3}]])
def test_a_broken_answer_is_a_models_error(content: Any) -> None:
    with pytest.raises(ModelError, match="broken answer"):
        Anthropic("m", base_url=LOCAL).decode({"content": content}, Request([]))


def test_an_empty_answer_is_an_empty_message() -> None:
    assert [text_of(item) for item in decode().output] == [""]


def test_the_key_and_the_version_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")

    async def check() -> None:
        async with Endpoint(in_turn(Reply([message("hi")])), record=True) as endpoint:
            for base in (endpoint.url, endpoint.url.removesuffix("/v1"), endpoint.url + "/"):
                model = make_model("anthropic/claude", base_url=base)
                assert [text_of(i) for i in (await model.respond(Request([user_message("hi")]))).output] == ["hi"]
                assert "secret" not in str(model.identity())
                await model.aclose()
            for headers in endpoint.headers:
                assert headers["x-api-key"] == "sk-ant-secret"
                assert headers["anthropic-version"] == "2023-06-01"
                assert "Authorization" not in headers
            anthropic.types.Message.model_validate(
                {**endpoint.bodies[0], "id": "x", "content": [], "type": "message", "role": "assistant"}
                | {"usage": {"input_tokens": 1, "output_tokens": 1}}
            )

    run(check)


def test_without_a_key_it_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no ANTHROPIC_API_KEY"):
        make_model("anthropic/claude")


def test_overload_is_tried_again_and_a_long_prompt_is_not() -> None:
    overloaded = Raw(b'{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}', 529)

    async def check() -> None:
        async with Endpoint(in_turn(overloaded, Reply([message("hi")]))) as endpoint:
            model = make_model("anthropic/claude", base_url=endpoint.url)
            assert (await model.respond(Request([user_message("hi")]))).retries == 1
            await model.aclose()
        refusal = status(400, "prompt is too long: 210000 tokens > 200000 maximum", type="invalid_request_error")
        async with Endpoint(in_turn(refusal)) as endpoint:
            model = make_model("anthropic/claude", base_url=endpoint.url)
            with pytest.raises(PromptTooLong):
                await model.respond(Request([user_message("hi")]))
            assert endpoint.requests == 1
            await model.aclose()

    run(check)


@pytest.mark.parametrize(
    ("number", "text", "code"),
    [
        (400, "no", "context_length_exceeded"),
        (400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens", ""),
        (400, "The input (9000 tokens) is longer than the model's context length (8192 tokens).", ""),
        (400, "the request exceeds the available context size, try increasing it", ""),
        (413, "prompt is too long", ""),
    ],
)
def test_a_prompt_that_does_not_fit_is_known_everywhere(number: int, text: str, code: str) -> None:
    async def check() -> None:
        async with Endpoint(in_turn(status(number, text, code=code))) as endpoint:
            model = make_model("openai-chat/m", base_url=endpoint.url)
            with pytest.raises(PromptTooLong):
                await model.respond(Request([user_message("hi")]))
            await model.aclose()

    run(check)


def test_it_is_listed() -> None:
    assert "anthropic/NAME" in [entry["spec"] for entry in catalogue()]
