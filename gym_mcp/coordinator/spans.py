"""Joins a harness's spans with the server's ledger: whose calls were whose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gym_mcp.calls import without_tokens
from gym_mcp.types import JSONObject


def joined(spans: Sequence[JSONObject], ledger: Iterable[JSONObject]) -> Sequence[JSONObject]:
    """`spans` with `tool_calls`: the `seq` of each ledger entry whose `caller` is the span's id."""
    known = {span["id"]: span for span in spans if "id" in span}
    for entry in ledger:
        span = known.get(entry.get("caller", ""))
        if span is not None:
            span.setdefault("tool_calls", []).append(entry["seq"])
    return spans


def strip_tokens(spans: Iterable[JSONObject]) -> None:
    """Take the token ids off what spans hold: they stand in `calls`, once."""
    for span in spans:
        if "output" in span:
            span["output"] = [without_tokens(item) for item in span["output"]]
