"""Responses as Gemini answers, whole and as events. Pure functions."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Final

from gym_mcp.gateway.ask import Ask, Kind, pieces, seal
from gym_mcp.gateway.messages_out import estimate
from gym_mcp.gateway.sse import event
from gym_mcp.models.base import Response
from gym_mcp.models.chat import reasoning_text
from gym_mcp.models.messages import arguments_of
from gym_mcp.types import Item, JSONObject, text_of

_STATUS: Final[dict[Kind, tuple[int, str]]] = {
    "unauthorized": (401, "UNAUTHENTICATED"),
    "not_found": (404, "NOT_FOUND"),
    "too_large": (413, "INVALID_ARGUMENT"),
}


def answer(response: Response, ask: Ask) -> JSONObject:
    """The body of a generateContent answer."""
    return _chunk(response, ask, parts(response.output), finish_reason(response))


def _chunk(response: Response, ask: Ask, said: list[JSONObject], finish: str | None) -> JSONObject:
    usage = response.usage
    candidate: JSONObject = {"content": {"role": "model", "parts": said}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": usage.input,
            "cachedContentTokenCount": usage.cached,
            "candidatesTokenCount": max(usage.output - usage.reasoning, 0),
            "thoughtsTokenCount": usage.reasoning,
            "totalTokenCount": usage.total,
        },
        "modelVersion": ask.model or response.model,
        "responseId": response.id or "gateway",
    }


def finish_reason(response: Response) -> str:
    """Why the model stopped, in Gemini's words."""
    if response.incomplete:
        return "SAFETY" if response.incomplete == "content_filter" else "MAX_TOKENS"
    return "STOP"


def parts(output: list[Item]) -> list[JSONObject]:
    """Parts of output items. The first call carries the sealed reasoning: agents drop thoughts, not signatures."""
    found: list[JSONObject] = []
    signature = ""
    for item in output:
        kind = item.get("type", "message")
        if kind == "reasoning":
            signature = base64.b64encode(seal(item).encode()).decode()
            found.append({"text": reasoning_text(item), "thought": True, "thoughtSignature": signature})
        elif kind == "function_call":
            call = {"id": item["call_id"], "name": item["name"], "args": arguments_of(item)}
            found.append({"functionCall": call, **({"thoughtSignature": signature} if signature else {})})
            signature = ""
        elif kind == "message":
            found.append({"text": text_of(item)})
    return found


def events(response: Response, ask: Ask) -> Iterator[bytes]:
    """The events of a streamed answer: one or more for each part, the last with the reason why it ended."""
    for part in parts(response.output):
        if set(part) == {"text"}:
            for text in pieces(part["text"]):
                yield event(_chunk(response, ask, [{"text": text}], None))
        else:
            yield event(_chunk(response, ask, [part], None))
    yield event(_chunk(response, ask, [{"text": ""}], finish_reason(response)))


def error(kind: Kind, message: str) -> JSONObject:
    """An error body."""
    code, status = _STATUS.get(kind, (400, "INVALID_ARGUMENT"))
    return {"error": {"code": code, "message": message, "status": status}}


def error_events(kind: Kind, message: str) -> Iterator[bytes]:
    """An error inside a stream that has begun."""
    yield event(error(kind, message))


def count(ask: Ask) -> JSONObject:
    """An estimate of a request's tokens."""
    return {"totalTokens": estimate(ask.items) + estimate(ask.tools)}
