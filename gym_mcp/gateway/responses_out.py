"""Responses as OpenAI Responses answers, whole and as events. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from time import time
from typing import Final

from gym_mcp.calls import without_tokens
from gym_mcp.gateway.ask import Ask, Kind, pieces, seal
from gym_mcp.gateway.sse import event
from gym_mcp.models.base import Response
from gym_mcp.types import Item, JSONObject

_CODES: Final[dict[Kind, str]] = {
    "too_long": "context_length_exceeded",
    "unauthorized": "invalid_api_key",
    "not_found": "not_found",
}


def answer(response: Response, ask: Ask) -> JSONObject:
    """The body of a response."""
    done = _head(response, ask)
    usage = response.usage
    return done | {
        "status": "incomplete" if response.incomplete else "completed",
        "incomplete_details": {"reason": response.incomplete} if response.incomplete else None,
        "output": [output_item(item, i, response, ask) for i, item in enumerate(response.output)],
        "usage": {
            "input_tokens": usage.input,
            "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.total,
        },
    }


def _head(response: Response, ask: Ask) -> JSONObject:
    return {
        "id": response.id if response.id.startswith("resp_") else f"resp_{response.id or 'gateway'}",
        "object": "response",
        "created_at": int(time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": ask.model or response.model,
        "output": [],
        "parallel_tool_calls": bool(ask.params.get("parallel_tool_calls", True)),
        "temperature": ask.params.get("temperature"),
        "tool_choice": ask.params.get("tool_choice", "auto"),
        "tools": [],
        "top_p": ask.params.get("top_p"),
        "usage": None,
    }


def output_item(item: Item, index: int, response: Response, ask: Ask) -> Item:
    """An output item as agents need it: with an id, and with the namespace that its function came from."""
    kind = item.get("type", "message")
    prefix = {"message": "msg", "function_call": "fc", "reasoning": "rs"}.get(kind, kind)
    out = {"type": kind, "id": f"{prefix}_{response.id or 'gateway'}_{index}", **without_tokens(item)}
    if kind == "function_call":
        out["status"] = "completed"
        if out["name"] in ask.names:
            out["namespace"], out["name"] = ask.names[out["name"]]
    elif kind == "message":
        content = out.get("content")
        parts = [{"type": "output_text", "text": content}] if isinstance(content, str) else content or []
        out["content"] = [_part(part) for part in parts]
        out |= {"role": "assistant", "status": "completed"}
    elif kind == "reasoning":
        out.setdefault("summary", [])
        if not out.get("encrypted_content"):
            out["encrypted_content"] = seal(item)
    return out


def _part(part: JSONObject) -> JSONObject:
    if part.get("type") == "refusal":
        return part
    return {"annotations": [], "logprobs": [], **part, "type": "output_text", "text": str(part.get("text", ""))}


def events(response: Response, ask: Ask) -> Iterator[bytes]:
    """The events of a streamed response, numbered, in the order that clients rely on."""
    whole = answer(response, ask)
    started = _head(response, ask)
    number = 0
    for data in _events(whole, started):
        yield event({**data, "sequence_number": number}, data["type"])
        number += 1


def _events(whole: JSONObject, started: JSONObject) -> Iterator[JSONObject]:
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    for index, item in enumerate(whole["output"]):
        yield from _item(item, index)
    yield {"type": f"response.{whole['status']}", "response": whole}


def _item(item: Item, index: int) -> Iterator[JSONObject]:
    begun = dict(item)
    for name, empty in (("content", []), ("summary", []), ("arguments", "")):
        if name in begun:
            begun[name] = empty
    if item["type"] != "reasoning":
        begun["status"] = "in_progress"
    place = {"item_id": item["id"], "output_index": index}
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    if item["type"] == "message":
        for i, part in enumerate(item["content"]):
            yield from _content(part, {**place, "content_index": i})
    elif item["type"] == "function_call":
        for text in pieces(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", **place, "delta": text}
        done = {"name": item["name"], "arguments": item["arguments"]}
        yield {"type": "response.function_call_arguments.done", **place, **done}
    elif item["type"] == "reasoning":
        yield from _reasoning(item, place)
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _content(part: JSONObject, place: JSONObject) -> Iterator[JSONObject]:
    kind = "refusal" if part["type"] == "refusal" else "output_text"
    field = "refusal" if kind == "refusal" else "text"
    extra: JSONObject = {} if kind == "refusal" else {"logprobs": []}
    yield {"type": "response.content_part.added", **place, "part": {**part, field: ""}}
    for text in pieces(part[field]):
        yield {"type": f"response.{kind}.delta", **place, "delta": text, **extra}
    yield {"type": f"response.{kind}.done", **place, field: part[field], **extra}
    yield {"type": "response.content_part.done", **place, "part": part}


def _reasoning(item: Item, place: JSONObject) -> Iterator[JSONObject]:
    for i, part in enumerate(item.get("summary") or []):
        at = {**place, "summary_index": i}
        yield {"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}}
        for text in pieces(part["text"]):
            yield {"type": "response.reasoning_summary_text.delta", **at, "delta": text}
        yield {"type": "response.reasoning_summary_text.done", **at, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **at, "part": part}
    for i, part in enumerate(item.get("content") or []):
        at = {**place, "content_index": i}
        for text in pieces(part["text"]):
            yield {"type": "response.reasoning_text.delta", **at, "delta": text}
        yield {"type": "response.reasoning_text.done", **at, "text": part["text"]}


def error(kind: Kind, message: str) -> JSONObject:
    """An error body."""
    code = _CODES.get(kind, kind)
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def error_events(kind: Kind, message: str) -> Iterator[bytes]:
    """An error inside a stream that has begun."""
    failed = _head(Response([]), Ask()) | {"status": "failed"}
    failed["error"] = {"code": _CODES.get(kind, "invalid_prompt"), "message": message}
    yield event({"type": "response.failed", "response": failed, "sequence_number": 0}, "response.failed")
