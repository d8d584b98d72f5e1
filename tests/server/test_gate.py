"""The body of a request, which comes in as many parts as the network likes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from starlette.types import Message

from gym_mcp.server.gate import MAX_OPERATOR_BODY, Headers, Refused, read_body


def body_of(parts: Sequence[bytes], limit: int = MAX_OPERATOR_BODY, headers: Headers | None = None) -> bytes:
    left = list(parts)

    async def receive() -> Message:
        await asyncio.sleep(0)  # else the time limit below would not be looked at
        part = left.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    async def read() -> bytes:
        async with asyncio.timeout(10):  # 1,024 parts that are put together one by one take half a minute
            return await read_body(headers or {}, receive, limit)

    return asyncio.run(read())


def test_parts_come_together_in_order() -> None:
    assert body_of([b"{", b"", b'"a": 1', b"}"]) == b'{"a": 1}'
    assert body_of([b""]) == b""


def test_as_much_as_the_limit_and_no_more() -> None:
    part = b"x" * 65_536
    whole = body_of([part] * (MAX_OPERATOR_BODY // len(part)))
    assert len(whole) == MAX_OPERATOR_BODY
    with pytest.raises(Refused) as caught:
        body_of([b"12345", b"67890", b"1"], limit=10)
    assert caught.value.status == 413
    with pytest.raises(Refused) as caught:
        body_of([], limit=10, headers={b"content-length": b"11"})
    assert caught.value.status == 413
