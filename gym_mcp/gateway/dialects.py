"""The APIs that the gateway speaks: which paths, and which functions read and write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from gym_mcp.gateway import (
    chat_in,
    chat_out,
    gemini_in,
    gemini_out,
    messages_in,
    messages_out,
    responses_in,
    responses_out,
)
from gym_mcp.gateway.ask import Ask, Kind
from gym_mcp.gateway.sse import COMMENT
from gym_mcp.models.base import Response
from gym_mcp.types import JSONObject

STATUS: Final[dict[Kind, int]] = {"unauthorized": 401, "not_found": 404, "too_large": 413}
"""Every other refusal is a 400: real agents repeat 401, 429 and 5xx up to ten times, a 400 never."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One API. `keep_alive` is what a stream says while the model thinks; nothing where a client would choke."""

    name: str
    read: Callable[[JSONObject], Ask]
    answer: Callable[[Response, Ask], JSONObject]
    events: Callable[[Response, Ask], Iterator[bytes]]
    error: Callable[[Kind, str], JSONObject]
    error_events: Callable[[Kind, str], Iterator[bytes]]
    count: Callable[[Ask], JSONObject] = messages_out.count
    keep_alive: bytes = COMMENT


@dataclass(frozen=True, slots=True)
class Route:
    """What a path asks for, in which dialect. `model` and `stream` are told where the path says them."""

    dialect: Dialect
    action: Literal["generate", "count", "models"] = "generate"
    model: str | None = None
    stream: bool | None = None


RESPONSES: Final = Dialect(
    "responses", responses_in.read, responses_out.answer, responses_out.events, responses_out.error,
    responses_out.error_events,
)  # fmt: skip
CHAT: Final = Dialect(
    "chat", chat_in.read, chat_out.answer, chat_out.events, responses_out.error, chat_out.error_events
)
MESSAGES: Final = Dialect(
    "messages", messages_in.read, messages_out.answer, messages_out.events, messages_out.error,
    messages_out.error_events, keep_alive=messages_out.PING,
)  # fmt: skip
GEMINI: Final = Dialect(
    "gemini", gemini_in.read, gemini_out.answer, gemini_out.events, gemini_out.error, gemini_out.error_events,
    gemini_out.count, keep_alive=b"",
)  # fmt: skip
_POST: Final = {
    "/v1/responses": Route(RESPONSES),
    "/v1/chat/completions": Route(CHAT),
    "/v1/messages": Route(MESSAGES),
    "/v1/messages/count_tokens": Route(MESSAGES, "count"),
}


_GEMINI: Final = re.compile(r"/v1(?:beta)?/models/([^/:]+):(generateContent|streamGenerateContent|countTokens)")


def route(method: str, path: str) -> Route | None:
    """The route of a path under a session's secret; None when there is none."""
    if method == "POST":
        return _POST.get(path) or _gemini(path)
    if method == "GET" and (path == "/v1/models" or path.startswith("/v1/models/")):
        return Route(RESPONSES, "models")
    return None


def _gemini(path: str) -> Route | None:
    match = _GEMINI.fullmatch(path)
    if match is None:
        return None
    stream = match[2] == "streamGenerateContent"
    return Route(GEMINI, "count" if match[2] == "countTokens" else "generate", match[1], stream)
