"""Chat completions as Responses output items. Pure functions."""

from __future__ import annotations

from typing import Any, Final, Literal

import orjson

from gym_mcp.models.base import Usage
from gym_mcp.models.http import broken
from gym_mcp.models.openai import count
from gym_mcp.types import Item, JSONObject

REASONING_FIELDS: Final = ("reasoning_content", "reasoning")
"""Where servers put what a model thought: DeepSeek and vLLM; OpenRouter and newer vLLM."""
Incomplete = Literal["max_output_tokens", "content_filter"]
_INCOMPLETE: Final[dict[str, Incomplete]] = {"length": "max_output_tokens", "content_filter": "content_filter"}


def choice_of(completion: JSONObject) -> tuple[JSONObject, Incomplete | None]:
    """(message, why it is incomplete) of the first choice; `ModelError` when there is none."""
    choices = completion.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise broken("no choice with a message")
    reason = choice.get("finish_reason")
    if reason == "error":  # OpenRouter's word for an upstream that failed
        raise broken("finish_reason `error`")
    return message, _INCOMPLETE.get(reason) if isinstance(reason, str) else None


def to_items(message: JSONObject, key: str, *, calls_before: int = 0) -> list[Item]:
    """Output items of an assistant message: reasoning, text, calls.

    `key` makes the item ids. A call without an id gets `call_N`, counted from `calls_before`, the number of calls
    that the conversation holds already.
    """
    items: list[Item] = []
    reasoning = reasoning_of(message)
    if reasoning:
        content = [{"type": "reasoning_text", "text": reasoning}]
        items.append({"type": "reasoning", "id": f"rs_{key}", "summary": [], "content": content})
    calls = _calls(message.get("tool_calls"), calls_before)
    parts = _parts(message)
    if parts or not (calls or reasoning):
        parts = parts or [{"type": "output_text", "text": "", "annotations": []}]
        items.append(
            {"type": "message", "id": f"msg_{key}", "role": "assistant", "status": "completed", "content": parts}
        )
    return items + calls


def reasoning_of(message: JSONObject) -> str:
    """The model's readable reasoning, from whichever field the server uses."""
    field = reasoning_field(message)
    return message[field] if field else ""


def reasoning_field(message: JSONObject) -> str | None:
    """The name of the field that holds reasoning; None when there is none."""
    for field in REASONING_FIELDS:
        if isinstance(message.get(field), str) and message[field]:
            return field
    return None


def _parts(message: JSONObject) -> list[Item]:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(p.get("text", "")) for p in content if isinstance(p, dict))
    if content is not None and not isinstance(content, str):
        raise broken("message content is neither text nor null")
    parts: list[Item] = []
    if content:
        parts.append({"type": "output_text", "text": content, "annotations": []})
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        parts.append({"type": "refusal", "refusal": message["refusal"]})
    return parts


def _calls(calls: Any, before: int) -> list[Item]:
    if calls is None:
        return []
    if not isinstance(calls, list):
        raise broken("`tool_calls` is not a list")
    return [_call(call, f"call_{before + i}") for i, call in enumerate(calls)]


def _call(call: Any, made_up: str) -> Item:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise broken("a tool call without a function name")
    arguments = function.get("arguments")
    if not isinstance(arguments, str):  # some servers send the object, or nothing for no arguments
        arguments = "" if arguments is None else orjson.dumps(arguments).decode()
    call_id = call.get("id")
    call_id = call_id if isinstance(call_id, str) and call_id else made_up
    return {
        "type": "function_call",
        "id": f"fc_{call_id}",
        "call_id": call_id,
        "name": function["name"],
        "arguments": arguments,
        "status": "completed",
    }


def chat_usage(usage: Any) -> Usage:
    """Token counts of a chat completion; zero where the server does not tell."""
    if not isinstance(usage, dict):
        return Usage(calls=1)
    return Usage(
        count(usage, "prompt_tokens"),
        count(usage, "completion_tokens"),
        count(usage.get("prompt_tokens_details"), "cached_tokens"),
        count(usage.get("completion_tokens_details"), "reasoning_tokens"),
        1,
    )
