"""Anthropic messages as Responses output items. Pure functions."""

from __future__ import annotations

from typing import Any, Final

import orjson

from gym_mcp.models.base import Usage
from gym_mcp.models.http import broken
from gym_mcp.models.messages import REDACTED, SIGNED
from gym_mcp.models.openai import count
from gym_mcp.types import Item, JSONObject

INCOMPLETE: Final = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "refusal": "content_filter",
}


def to_items(answer: JSONObject, key: str) -> list[Item]:
    """Output items of a message; `key` makes their ids. `ModelError` when it holds no content."""
    content = answer.get("content")
    if not isinstance(content, list):
        raise broken("no list `content`")
    items: list[Item] = []
    for block in content:
        item = to_item(block) if isinstance(block, dict) else None
        if item is not None:
            prefix = {"function_call": "fc", "reasoning": "rs"}.get(item["type"], "msg")
            items.append({"id": f"{prefix}_{key}_{len(items)}", **item})
    return items or [{"id": f"msg_{key}_0", **_message("")}]


def to_item(block: JSONObject) -> Item | None:
    """The item of an assistant's content block; None for one of a kind that we have no item for."""
    kind = block.get("type")
    if kind == "text":
        return _message(str(block.get("text", "")))
    if kind == "tool_use":
        return _call(block)
    if kind == "thinking":
        text = {"type": "reasoning_text", "text": str(block.get("thinking", ""))}
        item: Item = {"type": "reasoning", "summary": [], "content": [text]}
        signature = block.get("signature")
        return item | ({"encrypted_content": f"{SIGNED}{signature}"} if signature else {})
    if kind == "redacted_thinking":
        return {"type": "reasoning", "summary": [], "encrypted_content": f"{REDACTED}{block.get('data', '')}"}
    return None


def _message(text: str) -> Item:
    parts = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "status": "completed", "content": parts}


def _call(block: JSONObject) -> Item:
    if not isinstance(block.get("id"), str) or not isinstance(block.get("name"), str):
        raise broken("a tool_use without an id and a name")
    given = block.get("input")
    arguments = given if isinstance(given, str) else orjson.dumps({} if given is None else given).decode()
    call = {"type": "function_call", "call_id": block["id"], "name": block["name"], "arguments": arguments}
    return {**call, "status": "completed"}


def messages_usage(usage: Any) -> Usage:
    """Token counts of a message. Anthropic counts what the cache read and wrote beside `input_tokens`; here both
    are part of the input."""
    read, written = count(usage, "cache_read_input_tokens"), count(usage, "cache_creation_input_tokens")
    details = usage.get("output_tokens_details") if isinstance(usage, dict) else None
    return Usage(
        count(usage, "input_tokens") + read + written,
        count(usage, "output_tokens"),
        read,
        count(details, "thinking_tokens"),
        1,
    )
