"""An agent may say which part of it calls: whatever it says is in the ledger only, and changes no answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gym_mcp.server.wire import CALLER
from tests.server.raw import MODERN, Reply, message, request, send
from tests.server.vault import ERAS, vault
from tests.support import run

CALLERS: list[tuple[Any, str]] = [
    (None, ""),
    ("planner/2", "planner/2"),
    ("x" * 10_000, "x" * 200),
    (["planner"], ""),
    ({"a": 1}, ""),
    (7, ""),
]


@pytest.mark.parametrize("era", ERAS)
def test_a_caller_reaches_the_ledger_and_nothing_else(era: str, tmp_path: Path) -> None:
    async def call(url: str, caller: Any) -> Reply:
        body, headers = message(era, "tools/call", {"name": "guess", "arguments": {"word": "no"}})
        sent = json.loads(body)
        if caller is not None:
            sent["params"].setdefault("_meta", {})[CALLER] = caller
        parts = urlsplit(url)
        return await send(parts.port or 0, request(parts.path, json.dumps(sent).encode(), **headers))

    async def main() -> None:
        async with vault(tmp_path) as (_, mine, _, url):
            replies = [await call(url, caller) for caller, _ in CALLERS]
            assert len({reply.body for reply in replies}) == 1 and replies[0].status == 200
            assert [entry.caller for entry in mine.ledger] == [kept for _, kept in CALLERS]

    assert MODERN in ERAS
    run(main)
