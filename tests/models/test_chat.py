"""Responses items as chat messages, and the way back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from gym_mcp.errors import ModelError
from gym_mcp.models.chat import reasoning_text, to_messages, to_params, to_tools
from gym_mcp.models.chat_answer import to_items
from gym_mcp.types import Item, ToolSpec, assistant_message, text_of, user_message
from tests.endpoint import Reply, as_chat, call, message

MESSAGES: TypeAdapter[list[ChatCompletionMessageParam]] = TypeAdapter(list[ChatCompletionMessageParam])
ADD = ToolSpec("add", "Add.", {"type": "object", "properties": {}}).as_function()


def output(call_id: str, value: Any) -> Item:
    return {"type": "function_call_output", "call_id": call_id, "output": value}


def thought(text: str) -> Item:
    return {"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": text}]}


def tool_call(name: str, arguments: str, call_id: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_whole_conversation() -> None:
    items = [
        {"role": "system", "content": "Be brief."},
        user_message("Add one, then two."),
        thought("two calls"),
        message("I add."),
        call("add", '{"amount":1}', "a"),
        call("add", '{"amount":2}', "b"),
        output("a", "1"),
        output("b", "3"),
        message("Three."),
        user_message("Thanks."),
    ]
    messages = to_messages(items)
    MESSAGES.validate_python(messages)
    assert messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Add one, then two."},
        {
            "role": "assistant",
            "content": "I add.",
            "tool_calls": [tool_call("add", '{"amount":1}', "a"), tool_call("add", '{"amount":2}', "b")],
        },
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "3"},
        {"role": "assistant", "content": "Three."},
        {"role": "user", "content": "Thanks."},
    ]


def test_text_after_the_calls_stays_in_their_message() -> None:
    messages = to_messages([call("add", "{}", "a"), message("Done soon."), output("a", "1")])
    assert [m["role"] for m in messages] == ["assistant", "tool"]
    assert messages[0]["content"] == "Done soon."
    assert len(messages[0]["tool_calls"]) == 1


def test_texts_of_one_turn_become_paragraphs() -> None:
    assert to_messages([message("One."), message("Two.")]) == [{"role": "assistant", "content": "One.\n\nTwo."}]


def test_calls_of_two_turns_stay_apart() -> None:
    items = [call("add", "{}", "a"), output("a", "1"), call("add", "{}", "b"), output("b", "2")]
    assert [m["role"] for m in to_messages(items)] == ["assistant", "tool", "assistant", "tool"]


def test_reasoning_goes_back_under_the_servers_name_since_the_last_user_message() -> None:
    items = [
        user_message("q1"),
        thought("old"),
        message("a1"),
        user_message("q2"),
        thought("new"),
        call("add", "{}", "a"),
        output("a", "1"),
    ]
    assert not any("old" in str(m) or "new" in str(m) for m in to_messages(items))
    messages = to_messages(items, reasoning_field="reasoning_content")
    assert "reasoning_content" not in messages[1]
    assert messages[3]["reasoning_content"] == "new"


def test_reasoning_that_was_cut_short_leaves_no_empty_message() -> None:
    assert to_messages([user_message("q"), thought("hm")], reasoning_field="reasoning") == [
        {"role": "user", "content": "q"}
    ]


def test_images() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
    shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Look."}, picture]},
        call("look", "{}", "a"),
        call("look", "{}", "b"),
        output("a", [{"type": "input_text", "text": "seen"}, picture]),
        output("b", "nothing"),
        message("A cat."),
    ]
    messages = to_messages(items)
    MESSAGES.validate_python(messages)
    assert messages[0]["content"] == [{"type": "text", "text": "Look."}, shown]
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "tool", "user", "assistant"]
    assert messages[2] == {"role": "tool", "tool_call_id": "a", "content": "seen"}
    assert messages[4]["content"] == [{"type": "text", "text": "Result of call a:"}, shown]


def test_images_of_the_last_results_are_not_lost() -> None:
    picture = {"type": "input_image", "image_url": "https://x.example/a.png"}
    messages = to_messages([call("look", "{}", "a"), output("a", [picture])])
    assert messages[-1]["content"][-1]["image_url"] == {"url": "https://x.example/a.png"}


def test_files_and_audio() -> None:
    file = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}
    audio = {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}
    messages = to_messages([{"role": "user", "content": [file, audio]}])
    MESSAGES.validate_python(messages)
    assert messages[0]["content"][0]["file"] == {"filename": "a.pdf", "file_data": file["file_data"]}
    assert messages[0]["content"][1] == audio


def test_developer_is_a_system_message_where_that_role_is_unknown() -> None:
    items = [{"role": "developer", "content": "Be brief."}]
    assert to_messages(items)[0]["role"] == "system"
    assert to_messages(items, developer=True)[0]["role"] == "developer"
    assert to_messages([], instructions="Be kind.") == [{"role": "system", "content": "Be kind."}]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "x"},
        {"type": "computer_call"},
        {"role": "user", "content": [{"type": "input_image", "file_id": "f"}]},
        {"role": "user", "content": [{"type": "input_video"}]},
    ],
)
def test_what_has_no_place_is_refused(item: Item) -> None:
    with pytest.raises(ModelError, match="has no place") as caught:
        to_messages([item])
    assert not caught.value.retryable


def test_refusals_and_plain_string_content() -> None:
    refusal = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert to_messages([refusal]) == [{"role": "assistant", "content": "No."}]
    assert to_messages([{"role": "assistant", "content": "Yes."}]) == [{"role": "assistant", "content": "Yes."}]


def test_reasoning_text() -> None:
    assert reasoning_text({"summary": [{"type": "summary_text", "text": "short"}]}) == "short"
    assert reasoning_text({"summary": [{"text": "short"}], "content": [{"text": "a"}, {"text": "b"}]}) == "a\nb"
    assert reasoning_text({"encrypted_content": "x"}) == ""


def test_tools() -> None:
    strict = {**ADD, "strict": True, "description": ""}
    assert to_tools([ADD, strict, {"type": "function", "name": "bare"}]) == [
        {"type": "function", "function": {"name": "add", "description": "Add.", "parameters": ADD["parameters"]}},
        {"type": "function", "function": {"name": "add", "parameters": ADD["parameters"], "strict": True}},
        {"type": "function", "function": {"name": "bare", "parameters": {"type": "object", "properties": {}}}},
    ]
    with pytest.raises(ModelError, match="web_search"):
        to_tools([{"type": "web_search"}])


PARAMS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"max_output_tokens": 5}, {"max_tokens": 5}),
    ({"temperature": 0.5, "top_p": 0.9, "seed": 7}, {"temperature": 0.5, "top_p": 0.9, "seed": 7}),
    ({"tool_choice": "required", "parallel_tool_calls": False},) * 2,
    (
        {"tool_choice": {"type": "function", "name": "add"}},
        {"tool_choice": {"type": "function", "function": {"name": "add"}}},
    ),
    ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
    (
        {
            "text": {
                "format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True},
                "verbosity": "low",
            }
        },
        {
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}},
            "verbosity": "low",
        },
    ),
    ({"reasoning": {"effort": "high", "summary": "auto"}}, {"reasoning_effort": "high"}),
    ({"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
    ({"include": ["x"], "store": False, "truncation": "auto", "instructions": "hi"}, {}),
]


@pytest.mark.parametrize(("params", "expected"), PARAMS)
def test_parameters(params: dict[str, Any], expected: dict[str, Any]) -> None:
    assert to_params(params, has_tools=True, is_openai=False) == expected
    body = {"model": "m", "messages": [], **to_params(params, has_tools=True, is_openai=True)}
    TypeAdapter(CompletionCreateParamsNonStreaming).validate_python(body)


def test_openai_gets_the_new_name_and_nobody_a_choice_among_no_tools() -> None:
    assert to_params({"max_output_tokens": 5}, has_tools=False, is_openai=True) == {"max_completion_tokens": 5}
    params = {"tool_choice": "auto", "parallel_tool_calls": True}
    assert to_params(params, has_tools=False, is_openai=False) == {}


TEXT = st.text(min_size=1, max_size=30)
CALLS = st.lists(st.tuples(TEXT, st.text(max_size=40)), max_size=4)
TURNS = st.lists(st.tuples(st.none() | TEXT, st.none() | TEXT, CALLS), min_size=1, max_size=5)


def conversation(turns: list[tuple[str | None, str | None, list[tuple[str, str]]]]) -> list[Item]:
    """Items of turns (reasoning, text, calls): each call is answered, then the user speaks."""
    items: list[Item] = []
    for number, (reasoning, text, calls) in enumerate(turns):
        ids = [f"call_{number}_{i}" for i in range(len(calls))]
        items += [thought(reasoning)] if reasoning else []
        items += [assistant_message(text)] if text else []
        items += [call(name, arguments, i) for i, (name, arguments) in zip(ids, calls, strict=True)]
        items += [output(i, f"result of {i}") for i in ids]
        items.append(user_message(f"turn {number}"))
    return items


def facts(items: list[Item]) -> list[tuple[str, ...]]:
    """What must survive: texts, and calls with id, name and argument text, in order."""
    out: list[tuple[str, ...]] = []
    for item in items:
        if item.get("type") == "function_call":
            out.append(("call", item["call_id"], item["name"], item["arguments"]))
        elif item.get("type") == "message" and item["role"] == "assistant" and text_of(item):
            out.append(("text", text_of(item)))
    return out


@given(TURNS)
def test_items_to_messages_to_items_keeps_calls_and_texts(turns: Any) -> None:
    items = conversation(turns)
    messages = to_messages(items, reasoning_field="reasoning_content")
    back = [i for n, m in enumerate(messages) if m["role"] == "assistant" for i in to_items(m, f"{n}")]
    assert facts(back) == facts(items)
    results = [(m["tool_call_id"], m["content"]) for m in messages if m["role"] == "tool"]
    assert results == [(i["call_id"], i["output"]) for i in items if i["type"] == "function_call_output"]


@given(TURNS)
def test_every_tool_message_follows_the_calls_that_it_answers(turns: Any) -> None:
    messages = to_messages(conversation(turns))
    MESSAGES.validate_python(messages)
    open_calls: list[str] = []
    for sent in messages:
        if sent["role"] == "tool":
            assert sent["tool_call_id"] == open_calls.pop(0)
        else:
            assert not open_calls
            open_calls = [c["id"] for c in sent.get("tool_calls", [])]
    assert not open_calls


def test_what_the_scripted_endpoint_serves_is_a_chat_completion() -> None:
    for reply in (
        Reply([message("hi")]),
        Reply([message("both"), call("add", {"amount": 1})]),
        Reply([message("cut")], incomplete="max_output_tokens"),
    ):
        ChatCompletion.model_validate(as_chat(reply, {"model": "m"}, 0), strict=True)
