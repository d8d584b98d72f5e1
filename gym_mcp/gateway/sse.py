"""Server-sent events."""

from __future__ import annotations

from typing import Any, Final

import orjson

COMMENT: Final = b": waiting for the model\n\n"
"""What every reader of events passes over."""


def event(data: Any, name: str | None = None) -> bytes:
    """One event; `name` where the dialect names them."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + orjson.dumps(data) + b"\n\n"
