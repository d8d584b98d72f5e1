"""Joining a conversation with what went through the relay: names, texts, and which call is which."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gym_mcp.agents.observations import Join, Names
from gym_mcp.agents.relay import RelayedCall
from gym_mcp.types import Item, ToolResult, ToolSpec

NAMES = Names([ToolSpec("add", "", {}), ToolSpec("env_add", "", {}), ToolSpec("read", "", {})])


def asked(call_id: str, name: str, **arguments: Any) -> Item:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": json.dumps(arguments)}


def told(call_id: str, output: Any) -> Item:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def relayed(name: str, text: str, call_id: str | None = None, **arguments: Any) -> RelayedCall:
    return RelayedCall(name, arguments, call_id, 0.0, 1.0, ToolResult(text))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("mcp__env__add", "add"),
        ("mcp_env_add", "add"),
        ("add", "add"),
        ("env_add", "add"),  # the prefix is likelier than a tool of such a name
        ("mcp__env__env_add", "env_add"),
        ("env_env_add", "env_add"),
        ("bash", None),
        ("mcp__other__add", None),
    ],
)
def test_names(name: str, plain: str | None) -> None:
    assert NAMES.plain(name) == plain


WRAPPED = [
    "Wall time: 0.01 seconds\nOutput:\n{}",
    "<untrusted_context>\n{}\n</untrusted_context>",
    "{}",
]


@pytest.mark.parametrize("wrapper", WRAPPED)
@pytest.mark.parametrize("text", ["3", 'a "quoted" line\nand another — ünïcödé', "{}"])
def test_results_get_their_own_text_back(wrapper: str, text: str) -> None:
    items = [asked("c1", "mcp__env__read"), told("c1", wrapper.replace("{}", text))]
    join = Join(NAMES, [relayed("read", text, "c1")])
    assert join.plain(items)[1]["output"] == text
    assert join.plain(items)[0] == items[0] and join.plain(items, rename=True)[0]["name"] == "read"


def test_errors_inside_json_are_found() -> None:
    text = 'refused: it says "no" — ü'
    for shown in (json.dumps({"error": text}), json.dumps({"error": text}, ensure_ascii=False)):
        join = Join(NAMES, [relayed("read", text, "c1")])
        assert join.plain([asked("c1", "read"), told("c1", shown)])[1]["output"] == text


def test_what_an_agent_cut_stays_cut() -> None:
    items = [asked("c1", "read"), told("c1", "xxx[... truncated ...]xxx")]
    assert Join(NAMES, [relayed("read", "x" * 500, "c1")]).plain(items) == items


def test_parts_with_images_keep_them() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    parts = [{"type": "input_text", "text": "Wall time: 1\nOutput:\na pixel"}, image]
    join = Join(NAMES, [relayed("read", "a pixel", "c1")])
    (_, got) = join.plain([asked("c1", "read"), told("c1", parts)])
    assert got["output"] == [{"type": "input_text", "text": "a pixel"}, image]


def test_without_ids_calls_are_joined_in_order_by_name_and_arguments() -> None:
    calls = [relayed("add", "1", amount=1), relayed("read", "1"), relayed("add", "2", amount=1)]
    items = [
        asked("a", "env_read"),
        asked("b", "mcp_env_add", amount=1, security_risk="LOW"),
        asked("x", "bash", command="ls"),
        asked("c", "mcp_env_add", amount=1),
        asked("d", "mcp_env_add", amount=9),
    ]
    assert Join(NAMES, calls).matches(items) == {"a": 1, "b": 0, "c": 2}


def test_arguments_that_are_no_json_match_nothing() -> None:
    broken = {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{"}
    assert Join(NAMES, [relayed("add", "1", amount=1)]).matches([broken]) == {}
