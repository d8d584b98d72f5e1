"""Conversations there and back through another dialect: what the other can hold is kept, the rest is reported."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.gateway import chat_in, chat_out, gemini_in, gemini_out, messages_in, messages_out, responses_in
from gym_mcp.gateway.ask import Ask, flat_name, seal, unseal
from gym_mcp.gateway.responses_out import output_item
from gym_mcp.models.base import Response
from gym_mcp.models.chat import reasoning_text, to_messages
from gym_mcp.models.messages import SIGNED
from gym_mcp.models.messages import to_messages as to_anthropic
from gym_mcp.types import Item, assistant_message, text_of

pytestmark = pytest.mark.slow  # real processes, or searches that take their time

Conversation = list[Item]
words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)
names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,20}", fullmatch=True)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda v: st.lists(v, max_size=2),
    max_leaves=3,
)
arguments = st.dictionaries(words, values, max_size=3).map(lambda value: orjson.dumps(value).decode())
png = st.binary(min_size=1, max_size=8).map(lambda data: base64.b64encode(data).decode())
images = png.map(
    lambda data: {"type": "input_image", "image_url": f"data:image/png;base64,{data}", "detail": "auto"}
)
texts = words.map(lambda text: {"type": "input_text", "text": text})
thoughts = words.map(
    lambda text: {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text}]}
)


@st.composite
def conversations(draw: st.DrawFn, result_images: bool = True) -> Conversation:
    """A system text, then turns: a user's message, and steps of reasoning, words and calls with their results."""
    items: Conversation = [{"type": "message", "role": "system", "content": draw(words)}]
    number = 0
    for _ in range(draw(st.integers(1, 3))):
        parts = draw(st.lists(texts | images, min_size=2, max_size=3))
        items.append({"type": "message", "role": "user", "content": draw(words) if draw(st.booleans()) else parts})
        for _ in range(draw(st.integers(0, 2))):
            items += draw(st.lists(thoughts, max_size=1))
            items += [assistant_message(text) for text in draw(st.lists(words, max_size=1))]
            calls = [
                {
                    "type": "function_call",
                    "call_id": f"call_{number + i}",
                    "name": draw(names),
                    "arguments": draw(arguments),
                    "status": "completed",
                }
                for i in range(draw(st.integers(1, 2)))
            ]
            number += len(calls)
            content = words | st.lists(texts | images, min_size=2, max_size=3) if result_images else words
            items += calls
            items += [
                {"type": "function_call_output", "call_id": c["call_id"], "output": draw(content)} for c in calls
            ]
        items.append(assistant_message(draw(words)))
    return items


def calls_of(items: Conversation) -> list[Any]:
    return [(i["call_id"], i["name"], orjson.loads(i["arguments"])) for i in items if i["type"] == "function_call"]


def results_of(items: Conversation) -> list[Any]:
    return [(i["call_id"], i["output"]) for i in items if i["type"] == "function_call_output"]


def reasoning_of(items: Conversation) -> list[str]:
    return [reasoning_text(i) for i in items if i["type"] == "reasoning"]


def images_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        found = [value["image_url"]] if value.get("type") == "input_image" else []
        return found + [url for inner in value.values() for url in images_of(inner)]
    return [url for inner in value for url in images_of(inner)] if isinstance(value, list) else []


def said_of(items: Conversation) -> list[tuple[str, str]]:
    return [(i["role"], text_of(i)) for i in items if i["type"] == "message"]


@settings(max_examples=50)
@given(conversations(result_images=False))
def test_responses_chat_responses(items: Conversation) -> None:
    dropped: list[str] = []
    messages = to_messages(items, reasoning_field="reasoning_content", dropped=dropped)
    ask = chat_in.read({"messages": messages})
    assert calls_of(ask.items) == calls_of(items)
    assert results_of(ask.items) == results_of(items)
    assert images_of(ask.items) == images_of(items)
    assert said_of(ask.items) == said_of(items)
    last = max(i for i, item in enumerate(items) if item.get("role") == "user")
    assert reasoning_of(ask.items) == reasoning_of(items[last:])
    assert bool(reasoning_of(items[:last])) == ("reasoning before the last user message" in dropped)
    assert not ask.dropped


@settings(max_examples=50)
@given(conversations())
def test_chat_moves_the_images_of_results_behind_them(items: Conversation) -> None:
    ask = chat_in.read({"messages": to_messages(items)})
    assert sorted(images_of(ask.items)) == sorted(images_of(items))
    assert calls_of(ask.items) == calls_of(items)


@settings(max_examples=50)
@given(conversations(result_images=False))
def test_chat_without_reasoning_says_so(items: Conversation) -> None:
    dropped: list[str] = []
    ask = chat_in.read({"messages": to_messages(items, dropped=dropped)})
    assert not reasoning_of(ask.items)
    assert dropped == ["reasoning"] * len(reasoning_of(items))


signatures = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20)


@settings(max_examples=50)
@given(conversations(), st.data())
def test_messages_responses_messages(items: Conversation, data: st.DataObject) -> None:
    for item in items:
        if item["type"] == "reasoning":
            item["encrypted_content"] = SIGNED + data.draw(signatures)
    dropped: list[str] = []
    system, messages = to_anthropic(items, dropped=dropped)
    assert not dropped
    ask = messages_in.read({"system": system, "messages": messages})
    assert not ask.dropped
    assert to_anthropic(ask.items) == (system, messages)
    assert calls_of(ask.items) == calls_of(items)
    assert results_of(ask.items) == results_of(items)
    assert images_of(ask.items) == images_of(items)
    assert [i for i in ask.items if i["type"] == "reasoning"] == [i for i in items if i["type"] == "reasoning"]


@settings(max_examples=50)
@given(conversations())
def test_anthropic_takes_no_others_reasoning(items: Conversation) -> None:
    dropped: list[str] = []
    messages = to_anthropic(items, dropped=dropped)[1]
    kinds = [block["type"] for message in messages for block in message["content"]]
    assert "thinking" not in kinds
    assert len(dropped) == len(reasoning_of(items))


def turns_of(items: Conversation) -> list[tuple[Conversation, Conversation]]:
    """(what came from outside, what the model said to it) of each turn."""
    turns: list[tuple[Conversation, Conversation]] = [([], [])]
    for item in items:
        outside = item["type"] == "function_call_output" or item.get("role") in ("user", "system")
        if outside and turns[-1][1]:
            turns.append(([], []))
        turns[-1][0 if outside else 1].append(item)
    return turns


@settings(max_examples=50)
@given(conversations())
def test_an_agent_of_messages_loses_nothing(items: Conversation) -> None:
    """What the gateway answers, and the agent sends back."""
    messages: list[Any] = []
    for outside, said in turns_of(items):
        messages += to_anthropic([i for i in outside if i.get("role") != "system"])[1]
        if said:
            answer = messages_out.answer(Response(said), Ask())
            messages.append({"role": "assistant", "content": answer["content"]})
    back = messages_in.read({"messages": messages}).items
    assert calls_of(back) == calls_of(items)
    assert results_of(back) == results_of(items)
    assert [i for i in back if i["type"] == "reasoning"] == [i for i in items if i["type"] == "reasoning"]
    assert said_of(back) == [pair for pair in said_of(items) if pair[0] != "system"]
    assert images_of(back) == images_of(items)


@settings(max_examples=50)
@given(conversations())
def test_an_agent_of_responses_loses_nothing(items: Conversation) -> None:
    sent: list[Any] = []
    for i, item in enumerate(items):
        sent.append(item)
        if item["type"] in ("reasoning", "function_call") or item.get("role") == "assistant":
            sent[-1] = output_item(item, i, Response([]), Ask())
    back = responses_in.read({"input": sent}).items
    assert calls_of(back) == calls_of(items)
    assert results_of(back) == results_of(items)
    assert [i for i in back if i["type"] == "reasoning"] == [i for i in items if i["type"] == "reasoning"]
    assert said_of(back) == said_of(items)
    assert images_of(back) == images_of(items)


@settings(max_examples=50)
@given(conversations(result_images=False))
def test_an_agent_of_chat_loses_no_more_than_ids(items: Conversation) -> None:
    messages: list[Any] = []
    for outside, said in turns_of(items):
        messages += to_messages(outside)
        if said:
            messages.append(chat_out.to_message(Response(said)))
    back = chat_in.read({"messages": messages}).items
    assert calls_of(back) == calls_of(items)
    assert results_of(back) == results_of(items)
    assert reasoning_of(back) == reasoning_of(items)
    assert said_of(back) == said_of(items)


@settings(max_examples=50)
@given(conversations(result_images=False), st.booleans())
def test_an_agent_of_gemini_loses_nothing(items: Conversation, keeps_thoughts: bool) -> None:
    """Gemini CLI drops thoughts and keeps the signatures of calls."""
    contents: list[Any] = []
    for outside, said in turns_of(items):
        parts: list[Any] = []
        for item in outside:
            if item["type"] == "function_call_output":
                answer = {"id": item["call_id"], "name": "x", "response": {"output": item["output"]}}
                parts.append({"functionResponse": answer})
            elif item["role"] == "user":
                parts.append({"text": text_of(item)})
        contents.append({"role": "user", "parts": parts})
        model = [part for part in gemini_out.parts(said) if keeps_thoughts or not part.get("thought")]
        contents.append({"role": "model", "parts": model})
    back = gemini_in.read({"contents": contents}).items
    assert calls_of(back) == calls_of(items)
    assert results_of(back) == results_of(items)
    with_calls = [said for _, said in turns_of(items) if keeps_thoughts or calls_of(said)]
    assert reasoning_of(back) == [text for said in with_calls for text in reasoning_of(said)]
    assert [r for r, _ in said_of(back)] == [r for r, _ in said_of(items) if r != "system"]


@given(st.dictionaries(words, values, max_size=3))
def test_a_sealed_item_opens(fields: dict[str, Any]) -> None:
    item = {**fields, "type": "reasoning"}
    assert unseal(seal(item)) == item


@given(st.text() | st.binary() | st.none() | words.map(lambda text: f"gym-mcp:{text}"))
def test_nothing_else_opens(text: Any) -> None:
    assert unseal(text) is None


@given(names, st.text("abc_", min_size=1, max_size=90))
def test_flat_names_fit(space: str, name: str) -> None:
    assert len(flat_name(space, name)) <= 64
    assert flat_name(space, name).startswith(space)
