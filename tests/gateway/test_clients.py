"""The official clients, which validate strictly here, read every answer and every stream of the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from gym_mcp.errors import ModelError, PromptTooLong
from gym_mcp.gateway import GatewaySession
from tests.gateway.kit import TOOL, Scripted, call, say, served, think
from tests.support import run

TURN = [
    think("hm"),
    say("Let me add. " * 400),
    call("add", '{"amount": 3}'),
    call("add", '{"amount": 4}', "call_2"),
]
TEXT = "Let me add. " * 400
CHAT_TOOL: Any = {"type": "function", "function": TOOL}
RESPONSES_TOOL: Any = {"type": "function", **TOOL}
MESSAGES_TOOL: Any = {"name": "add", "description": "Add.", "input_schema": TOOL["parameters"]}
HELLO: Any = [{"role": "user", "content": "hi"}]


def openai_client(session: GatewaySession) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{session.base_url}/v1",
        api_key=session.key,
        max_retries=0,
        timeout=20,
        _strict_response_validation=True,
    )


def anthropic_client(session: GatewaySession) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=session.base_url,
        api_key=session.key,
        max_retries=0,
        timeout=20,
        _strict_response_validation=True,
    )


def behind(model: Scripted, use: Callable[[GatewaySession], None], **options: Any) -> None:
    """Run blocking client code beside the gateway."""

    async def check() -> None:
        async with served(model, **options) as session:
            await asyncio.to_thread(use, session)

    run(check)


def test_messages() -> None:
    def use(session: GatewaySession) -> None:
        with anthropic_client(session) as client:
            answer = client.messages.create(model="any", max_tokens=99, messages=HELLO, tools=[MESSAGES_TOOL])
            thinking, text, first, second = answer.content
            assert (thinking.type, text.type) == ("thinking", "text")
            assert first.type == second.type == "tool_use"
            assert (first.id, first.input, second.input) == ("call_1", {"amount": 3}, {"amount": 4})
            assert (answer.stop_reason, answer.model) == ("tool_use", "any")

    behind(Scripted(TURN), use)


MESSAGE_EVENTS = [
    "message_start",
    *("content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"),
    *("content_block_start", *["content_block_delta"] * 3, "content_block_stop"),
    *("content_block_start", "content_block_delta", "content_block_stop") * 2,
    "message_delta",
    "message_stop",
]


def test_messages_streamed() -> None:
    def use(session: GatewaySession) -> None:
        with anthropic_client(session) as client:
            given: Any = {"model": "any", "max_tokens": 99, "messages": HELLO, "tools": [MESSAGES_TOOL]}
            events = list(client.messages.create(stream=True, **given))
            assert [event.type for event in events] == MESSAGE_EVENTS
            deltas = [event.delta.type for event in events if event.type == "content_block_delta"]
            assert deltas == ["thinking_delta", "signature_delta", *["text_delta"] * 3, *["input_json_delta"] * 2]
            with client.messages.stream(**given) as stream:
                final = stream.get_final_message()
            whole = client.messages.create(**given)
            assert [b.model_dump() for b in final.content] == [b.model_dump() for b in whole.content]
            assert final.stop_reason == "tool_use"
            assert final.usage.output_tokens == whole.usage.output_tokens == 7
            assert final.usage.input_tokens == whole.usage.input_tokens == 20

    behind(Scripted(TURN), use)


def test_a_stream_with_pings_parses() -> None:
    def use(session: GatewaySession) -> None:
        with anthropic_client(session) as client:
            given: Any = {"model": "any", "max_tokens": 99, "messages": HELLO}
            with client.messages.stream(**given) as stream:
                assert stream.get_final_text() == "late"
        with openai_client(session) as other:
            chunks = list(other.chat.completions.create(model="any", messages=HELLO, stream=True))
            assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "late"
            events = list(other.responses.create(model="any", input="hi", stream=True))
            assert events[-1].type == "response.completed"

    behind(Scripted([say("late")], delay=0.2), use, keep_alive=0.05)


def test_tokens_are_counted() -> None:
    def use(session: GatewaySession) -> None:
        with anthropic_client(session) as client:
            assert client.messages.count_tokens(model="any", messages=HELLO).input_tokens > 0
            assert [m.id for m in client.models.list()] == [session.model_name]

    behind(Scripted(TURN), use)


def test_chat() -> None:
    def use(session: GatewaySession) -> None:
        with openai_client(session) as client:
            given: Any = {"model": "any", "messages": HELLO, "tools": [CHAT_TOOL]}
            choice = client.chat.completions.create(**given).choices[0]
            assert choice.message.content == TEXT
            assert choice.finish_reason == "tool_calls"
            calls: Any = choice.message.tool_calls
            assert [(c.id, c.function.arguments) for c in calls] == [
                ("call_1", '{"amount": 3}'),
                ("call_2", '{"amount": 4}'),
            ]
            extra: Any = choice.message
            assert extra.reasoning_content == "hm"

    behind(Scripted(TURN), use)


def test_chat_streamed() -> None:
    def use(session: GatewaySession) -> None:
        with openai_client(session) as client:
            given: Any = {"model": "any", "messages": HELLO, "tools": [CHAT_TOOL]}
            options: Any = {"include_usage": True}
            chunks: Any = list(client.chat.completions.create(stream=True, stream_options=options, **given))
            assert chunks[0].choices[0].delta.role == "assistant"
            assert chunks[-2].choices[0].finish_reason == "tool_calls"
            assert (chunks[-1].choices, chunks[-1].usage.prompt_tokens) == ([], 30)
            assert all(chunk.usage is None for chunk in chunks[:-1])
            without: Any = list(client.chat.completions.create(stream=True, **given))
            assert without[-1].choices[0].finish_reason == "tool_calls"
            with client.chat.completions.stream(**given) as stream:
                final = stream.get_final_completion().choices[0]
            assert final.message.content == TEXT
            calls: Any = final.message.tool_calls
            assert [(c.id, c.function.arguments) for c in calls] == [
                ("call_1", '{"amount": 3}'),
                ("call_2", '{"amount": 4}'),
            ]

    behind(Scripted(TURN), use)


def test_responses() -> None:
    def use(session: GatewaySession) -> None:
        with openai_client(session) as client:
            answer = client.responses.create(model="any", input="hi", tools=[RESPONSES_TOOL])
            assert [item.type for item in answer.output] == ["reasoning", "message", *["function_call"] * 2]
            assert answer.output_text == TEXT
            assert answer.usage is not None
            assert (answer.usage.input_tokens, answer.usage.total_tokens) == (30, 37)
            assert [m.id for m in client.models.list()] == [session.model_name]

    behind(Scripted(TURN), use)


CALL_EVENTS = ("function_call_arguments.delta", "function_call_arguments.done")
RESPONSE_EVENTS = [
    *("created", "in_progress"),
    *("output_item.added", "reasoning_text.delta", "reasoning_text.done", "output_item.done"),
    *("output_item.added", "content_part.added", *["output_text.delta"] * 3, "output_text.done"),
    *("content_part.done", "output_item.done"),
    *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done")
    * 2,
    "completed",
]


def test_responses_streamed() -> None:
    def use(session: GatewaySession) -> None:
        with openai_client(session) as client:
            given: Any = {"model": "any", "input": "hi", "tools": [RESPONSES_TOOL]}
            events: Any = list(client.responses.create(stream=True, **given))
            assert [event.type for event in events] == [f"response.{name}" for name in RESPONSE_EVENTS]
            assert [event.sequence_number for event in events] == list(range(len(events)))
            done = [event.item for event in events if event.type == "response.output_item.done"]
            assert done == events[-1].response.output
            with client.responses.stream(**given) as stream:
                assert stream.get_final_response().output_text == TEXT

    behind(Scripted(TURN), use)


def test_reasoning_summaries_stream() -> None:
    item = {"type": "reasoning", "id": "rs_9", "summary": [{"type": "summary_text", "text": "short"}]}

    def use(session: GatewaySession) -> None:
        with openai_client(session) as client:
            events: Any = list(client.responses.create(model="any", input="hi", stream=True))
            names = [event.type for event in events if "reasoning" in event.type]
            parts = ("part.added", "text.delta", "text.done", "part.done")
            assert names == [f"response.reasoning_summary_{part}" for part in parts]

    behind(Scripted([item, say("hi")]), use)


@pytest.mark.parametrize("failure", [ModelError("it died"), PromptTooLong("it is long")])
def test_errors_reach_the_caller_at_once(failure: ModelError) -> None:
    """With the clients' own retries on: they must not use them."""

    def use(session: GatewaySession) -> None:
        with (
            anthropic_client(session).with_options(max_retries=5) as client,
            pytest.raises(anthropic.BadRequestError),
        ):
            client.messages.create(model="any", max_tokens=9, messages=HELLO)
        with openai_client(session).with_options(max_retries=5) as other:
            with pytest.raises(openai.BadRequestError) as chat:
                other.chat.completions.create(model="any", messages=HELLO)
            with pytest.raises(openai.BadRequestError):
                list(other.responses.create(model="any", input="hi", stream=True))
        assert (chat.value.code == "context_length_exceeded") == isinstance(failure, PromptTooLong)

    behind(Scripted(failure), use)


def test_a_wrong_key_is_told_at_once() -> None:
    def use(session: GatewaySession) -> None:
        with anthropic_client(session).with_options(api_key="no", max_retries=5) as client:
            with pytest.raises(anthropic.AuthenticationError):
                client.messages.create(model="any", max_tokens=9, messages=HELLO)

    behind(Scripted(TURN), use)
