"""Responses as Anthropic Messages answers, whole and as events. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from gym_mcp.gateway.ask import Ask, Kind, pieces, seal
from gym_mcp.gateway.sse import event
from gym_mcp.models.base import Response, Usage
from gym_mcp.models.chat import reasoning_text
from gym_mcp.models.messages import arguments_of, signed
from gym_mcp.types import Item, JSONObject

PING: Final = event({"type": "ping"}, "ping")
_ERRORS: Final[dict[Kind, str]] = {
    "unauthorized": "authentication_error",
    "not_found": "not_found_error",
    "too_large": "request_too_large",
}


def answer(response: Response, ask: Ask) -> JSONObject:
    """The body of a message."""
    return {
        **_head(response, ask),
        "content": [block for item in response.output for block in blocks(item)],
        "stop_reason": stop_reason(response),
        "usage": _usage(response.usage),
    }


def _head(response: Response, ask: Ask) -> JSONObject:
    return {
        "id": f"msg_{response.id or 'gateway'}",
        "type": "message",
        "role": "assistant",
        "model": ask.model or response.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def stop_reason(response: Response) -> str:
    """Why the model stopped, in Anthropic's words."""
    if response.incomplete == "content_filter":
        return "refusal"
    if response.incomplete:
        return "max_tokens"
    calls = any(item.get("type") == "function_call" for item in response.output)
    return "tool_use" if calls else "end_turn"


def blocks(item: Item) -> list[JSONObject]:
    """Content blocks of an output item."""
    kind = item.get("type", "message")
    if kind == "reasoning":
        return [_thinking(item)]
    if kind == "function_call":
        return [
            {"type": "tool_use", "id": item["call_id"], "name": item["name"], "input": arguments_of(item)},
        ]
    if kind != "message":
        return []
    content = item.get("content")
    parts = [{"text": content}] if isinstance(content, str) else content or []
    return [{"type": "text", "text": str(part.get("text") or part.get("refusal") or "")} for part in parts]


def _thinking(item: Item) -> JSONObject:
    hidden, text = item.get("encrypted_content"), reasoning_text(item)
    block = signed(hidden, text) if isinstance(hidden, str) else None
    return block or {"type": "thinking", "thinking": text, "signature": seal(item)}


def _usage(usage: Usage) -> JSONObject:
    return {
        "input_tokens": max(usage.input - usage.cached, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }


def events(response: Response, ask: Ask) -> Iterator[bytes]:
    """The events of a streamed message, in the order that clients rely on."""
    usage = _usage(response.usage)
    head = {**_head(response, ask), "usage": {**usage, "output_tokens": 0}}
    yield event({"type": "message_start", "message": head}, "message_start")
    index = 0
    for item in response.output:
        for block in blocks(item):
            yield from _block(block, index)
            index += 1
    delta = {"stop_reason": stop_reason(response), "stop_sequence": None}
    yield event({"type": "message_delta", "delta": delta, "usage": usage}, "message_delta")
    yield event({"type": "message_stop"}, "message_stop")


def _block(block: JSONObject, index: int) -> Iterator[bytes]:
    start, deltas = _parts(block)
    yield event({"type": "content_block_start", "index": index, "content_block": start}, "content_block_start")
    for delta in deltas:
        yield event({"type": "content_block_delta", "index": index, "delta": delta}, "content_block_delta")
    yield event({"type": "content_block_stop", "index": index}, "content_block_stop")


def _parts(block: JSONObject) -> tuple[JSONObject, list[JSONObject]]:
    """(the block as it starts, its deltas)."""
    kind = block["type"]
    if kind == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": text} for text in pieces(block["text"])]
    if kind == "thinking":
        deltas: list[JSONObject] = [
            {"type": "thinking_delta", "thinking": text} for text in pieces(block["thinking"])
        ]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return {**block, "thinking": "", "signature": ""}, deltas
    if kind == "tool_use":
        text = orjson.dumps(block["input"]).decode()
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(text)]
        return {**block, "input": {}}, deltas
    return block, []


def error(kind: Kind, message: str) -> JSONObject:
    """An error body. Claude Code knows a full context window by the words `prompt is too long`."""
    if kind == "too_long" and "prompt is too long" not in message:
        message = f"prompt is too long: {message}"
    return {"type": "error", "error": {"type": _ERRORS.get(kind, "invalid_request_error"), "message": message}}


def error_events(kind: Kind, message: str) -> Iterator[bytes]:
    """An error inside a stream that has begun."""
    yield event(error(kind, message), "error")


def count(ask: Ask) -> JSONObject:
    """An estimate of a request's tokens: a quarter of its characters, and 1,600 an image."""
    return {"input_tokens": estimate(ask.items) + estimate(ask.tools)}


def estimate(value: Any) -> int:
    """Tokens of JSON, by its text: characters / 4, rounded up, and 1,600 for each image."""
    images = 0

    def bare(node: Any) -> Any:
        nonlocal images
        if isinstance(node, dict):
            if node.get("type") == "input_image":
                images += 1
                return ""
            return {k: bare(v) for k, v in node.items()}
        return [bare(entry) for entry in node] if isinstance(node, list) else node

    text = orjson.dumps(bare(value)).decode()
    return -(-len(text) // 4) + 1_600 * images if value else 0
