"""Responses-API items as the messages of OpenTelemetry's conventions: only where texts were asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from gym_mcp.types import Item, JSONObject, text_of


def as_messages(items: Iterable[Item], finish: str = "") -> str:
    """JSON of `gen_ai.input.messages`; with `finish`, of `gen_ai.output.messages`."""
    messages = [_message(item) for item in items]
    if finish:
        for message in messages:
            message["finish_reason"] = finish
    return orjson.dumps(messages, default=str).decode("utf-8", "replace")


def _message(item: Item) -> JSONObject:
    kind = item.get("type", "message")
    if kind == "function_call":
        return _of(
            "assistant",
            type="tool_call",
            id=item.get("call_id"),
            name=item.get("name"),
            arguments=item.get("arguments"),
        )
    if kind == "function_call_output":
        return _of("tool", type="tool_call_response", id=item.get("call_id"), response=item.get("output"))
    if kind == "reasoning":
        parts = item.get("summary") or item.get("content") or []
        text = "\n".join(part.get("text", "") for part in parts if isinstance(part, dict))
        return _of("assistant", type="reasoning", content=text)
    return _of(item.get("role", "assistant"), type="text", content=text_of(item))


def _of(role: str, **part: Any) -> JSONObject:
    return {"role": role, "parts": [part]}
