"""Messages and items: nothing is lost on the way, and what a graph changes is what goes out."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from gym_mcp.errors import HarnessError
from gym_mcp.langgraph.messages import ITEMS, RAW, response_message, to_items, to_messages
from gym_mcp.models.base import Response, Usage
from gym_mcp.types import Item, assistant_message, user_message

REASONING: Item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VjcmV0"}
SAID: Item = {"id": "msg_1", **assistant_message("I add.")}
SAID["content"][0]["logprobs"] = [{"token": "I", "logprob": -0.5}]
IMAGE: Item = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "high"}


def a_call(arguments: str = '{"amount": 1}', call_id: str = "call_1") -> Item:
    return {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": "add", "arguments": arguments}


def an_output(output: Any, call_id: str = "call_1") -> Item:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


CONVERSATION: list[Item] = [
    {"role": "system", "content": "Be brief."},
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look:"}, IMAGE]},
    REASONING,
    SAID,
    a_call('{ "amount":  1 }'),
    a_call("{broken", "call_2"),
    an_output("1"),
    an_output([{"type": "input_text", "text": "seen"}, IMAGE], "call_2"),
    {"type": "message", "role": "user", "content": [{"type": "input_file", "file_id": "f"}]},
    {**SAID, "id": "msg_2"},
]


def test_a_conversation_survives_the_way_there_and_back() -> None:
    messages = to_messages(CONVERSATION)
    kinds = [type(m) for m in messages]
    assert kinds == [
        SystemMessage,
        SystemMessage,
        HumanMessage,
        AIMessage,
        ToolMessage,
        ToolMessage,
        HumanMessage,
        AIMessage,
    ]
    assert to_items(messages) == CONVERSATION
    assert to_items([type(m).model_validate(m.model_dump()) for m in messages]) == CONVERSATION


def test_a_turn_shows_its_text_and_calls_and_keeps_its_reasoning_out_of_sight() -> None:
    (message,) = to_messages([REASONING, SAID, a_call(), a_call("[1]", "call_2")])
    assert isinstance(message, AIMessage) and message.content == "I add."
    assert [(c["name"], c["args"], c["id"]) for c in message.tool_calls] == [
        ("add", {"amount": 1}, "call_1"),
        ("add", {RAW: "[1]"}, "call_2"),
    ]
    assert message.additional_kwargs[ITEMS][1]["content"][0]["logprobs"]


def test_what_a_graph_changes_goes_out_as_changed() -> None:
    (message,) = to_messages([REASONING, SAID, a_call(), a_call("[1]", "call_2")])
    assert isinstance(message, AIMessage)
    fewer = message.model_copy(update={"tool_calls": message.tool_calls[:1]})
    assert to_items([fewer]) == [REASONING, assistant_message("I add."), a_call()]
    other = message.model_copy(update={"content": "I wait.", "tool_calls": []})
    assert to_items([other]) == [REASONING, assistant_message("I wait.")]
    call = {"name": "add", "args": {"amount": 2}, "id": "call_1", "type": "tool_call"}
    (edited,) = to_items([message.model_copy(update={"content": "", "tool_calls": [call]})])[1:]
    assert (edited["arguments"], edited["call_id"]) == ('{"amount":2}', "call_1")
    (asked,) = to_messages([user_message("Go.")])
    assert to_items([asked.model_copy(update={"content": "Stop."})]) == [user_message("Stop.")]


def test_messages_that_a_graph_makes_become_items() -> None:
    made = [
        SystemMessage("Rules."),
        HumanMessage([{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:x"}}]),
        HumanMessage([{"type": "image", "base64": "AA==", "mime_type": "image/gif"}]),
        AIMessage("Well.", tool_calls=[{"name": "f", "args": {RAW: "{no"}, "id": "c", "type": "tool_call"}]),
        ToolMessage("1", tool_call_id="c"),
    ]
    assert to_items(made) == [
        {"type": "message", "role": "system", "content": "Rules."},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": "data:x"}],
        },
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_image", "image_url": "data:image/gif;base64,AA=="}],
        },
        assistant_message("Well."),
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{no"},
        an_output("1", "c"),
    ]
    with pytest.raises(HarnessError, match="`video`"):
        to_items([HumanMessage([{"type": "video", "url": "u"}])])


def test_an_answer_keeps_its_usage_and_why_it_was_cut_short() -> None:
    usage = Usage(input=7, output=5, cached=3, reasoning=2, calls=1)
    message = response_message(Response([SAID], usage, "incomplete", "max_output_tokens", "r", "m", seq=4), "r/4")
    assert message.id == "r/4"
    assert message.usage_metadata == {
        "input_tokens": 7,
        "output_tokens": 5,
        "total_tokens": 12,
        "input_token_details": {"cache_read": 3},
        "output_token_details": {"reasoning": 2},
    }
    about = message.response_metadata
    assert about["incomplete_details"] == {"reason": "max_output_tokens"}
    assert (about["id"], about["model_name"], about["seq"]) == ("r", "m", 4)
