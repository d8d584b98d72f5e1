"""The plain data: what a transcript says, and what a reference call looks like."""

from __future__ import annotations

from typing import Any

import pytest

from gym_mcp.types import Call, Task, ToolSpec, Transcript, assistant_message, text_of, user_message


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"content": "plain"}, "plain"),
        ({"content": [{"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"}]}, "ab"),
        ({"content": [{"type": "refusal", "refusal": "no"}, {"text": 3}, "loose", {"text": "kept"}]}, "kept"),
        ({"content": []}, ""),
        ({"content": None}, ""),
        ({"content": {"text": "no list"}}, ""),
        ({}, ""),
        (assistant_message("hello"), "hello"),
        (user_message("hello"), "hello"),
    ],
)
def test_text_of_takes_every_shape_of_content(item: dict[str, Any], text: str) -> None:
    assert text_of(item) == text


def transcript() -> Transcript:
    return Transcript(
        [
            {"type": "reasoning", "summary": []},
            assistant_message("first"),
            {"type": "function_call", "name": "add", "arguments": "{}", "call_id": "1"},
            {"type": "function_call_output", "output": "1", "call_id": "1"},
            user_message("and?"),
            {"role": "assistant", "content": "second"},  # the short form has no type
            {"type": "function_call", "name": "read", "arguments": "{}", "call_id": "2"},
        ]
    )


def test_the_answer_is_the_last_assistant_message() -> None:
    assert transcript().answer == "second"
    assert transcript().text == "firstsecond"
    assert [text_of(m) for m in transcript().messages()] == ["first", "second"]
    assert [c["name"] for c in transcript().calls()] == ["add", "read"]


def test_an_empty_last_message_is_an_empty_answer() -> None:
    assert Transcript([assistant_message("first"), assistant_message("")]).answer == ""


def test_a_transcript_without_messages_has_no_answer() -> None:
    empty = Transcript([user_message("hello")])
    assert empty.answer == "" and empty.text == "" and empty.calls() == [] and empty.stop == "completed"
    assert Transcript().items is not Transcript().items


def test_calls_compare_by_name_and_arguments() -> None:
    assert Call("add", amount=2) == Call("add", amount=2)
    assert Call("add", amount=2) != Call("add", amount=3)
    assert Call("add") != Call("read")
    assert Call("add") != "add"
    assert repr(Call("add", amount=2, note="x")) == "Call('add', amount=2, note='x')"
    with pytest.raises(TypeError):
        hash(Call("add"))


def test_a_call_may_have_an_argument_called_name() -> None:
    assert Call("rename", name="x", self=1).arguments == {"name": "x", "self": 1}


def test_a_tool_as_a_responses_function() -> None:
    schema = {"type": "object", "properties": {}}
    assert ToolSpec("read", "Read it.", schema).as_function() == {
        "type": "function",
        "name": "read",
        "description": "Read it.",
        "parameters": schema,
        "strict": False,
    }


def test_a_text_as_prompt_is_a_users_message() -> None:
    assert Task("a", "Say hi.").prompt == [user_message("Say hi.")]  # type: ignore[arg-type]
    assert Task("a", [user_message("Say hi.")]).prompt == [user_message("Say hi.")]


def test_a_task_does_not_share_its_defaults_and_ignores_its_raw_row_when_compared() -> None:
    assert Task("a").data is not Task("b").data
    assert Task("a", data={"x": 1}, raw={"x": 1, "y": 2}) == Task("a", data={"x": 1})
    with pytest.raises(AttributeError):
        Task("a").id = "b"  # type: ignore[misc]
