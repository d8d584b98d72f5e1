"""JSON-RPC as bytes: a request's body, and the answer to it in a JSON or event-stream response."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

from gym_mcp.errors import EnvironmentFailure
from gym_mcp.types import JSONObject

_MANY_DIGITS: Final = re.compile(rb"\d{19}")


def body_of(message: JSONObject) -> bytes:
    """A message as bytes."""
    try:
        return orjson.dumps(message)
    except TypeError:  # integers past 64 bits, lone surrogates
        return json.dumps(message, ensure_ascii=False, default=str).encode("utf-8", "replace")


def _loads(data: bytes) -> Any:
    # orjson reads integers past 64 bits as floats.
    return json.loads(data) if _MANY_DIGITS.search(data) else orjson.loads(data)


def answer_in(data: bytes, media_type: bytes, sent: int) -> JSONObject | None:
    """The JSON-RPC answer to request `sent` in a response's body; None when there is none."""
    try:
        if media_type.startswith(b"application/json"):
            bodies = [data]
        else:
            bodies = [event.replace(b"\r", b"") for event in _events(data)]
        for body in bodies:
            message = _loads(body)
            if isinstance(message, dict) and ("result" in message or "error" in message):
                if message.get("id") in (sent, None):
                    return message
    except ValueError:
        return None
    return None


def _events(data: bytes) -> list[bytes]:
    """The data of each server-sent event."""
    events = re.split(rb"\r?\n\r?\n", data)
    lines = [[line[5:].strip() for line in e.splitlines() if line.startswith(b"data:")] for e in events]
    return [b"\n".join(parts) for parts in lines if parts]


def result_of(where: str, status: int, message: JSONObject | None) -> JSONObject:
    """The result that an answer brings; what went wrong at `where` is an `EnvironmentFailure`."""
    if message is None:
        raise EnvironmentFailure(f"{where}: HTTP {status} and no JSON-RPC answer", retryable=status >= 500)
    if "error" in message:
        error = message["error"]
        text = error.get("message") if isinstance(error, dict) else error
        raise EnvironmentFailure(f"{where}: the server refused the request: {text}", retryable=status >= 500)
    result: JSONObject = message["result"]
    return result
