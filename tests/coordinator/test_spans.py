"""Spans and the ledger are joined by the caller that a harness names."""

from __future__ import annotations

from gym_mcp.coordinator.spans import joined, strip_tokens
from gym_mcp.models.base import TOKEN_FIELDS
from gym_mcp.types import JSONObject, assistant_message


def test_each_entry_goes_to_the_span_that_called_and_to_no_other() -> None:
    spans: list[JSONObject] = [{"id": "s0", "kind": "node"}, {"id": "s1"}, {"id": "s2"}, {"name": "without an id"}]
    ledger: list[JSONObject] = [
        {"seq": 0, "caller": "s2"},
        {"seq": 1, "caller": "s1"},
        {"seq": 2, "caller": "s2"},
        {"seq": 3, "caller": "someone else"},
        {"seq": 4},
    ]
    assert [s.get("tool_calls") for s in joined(spans, ledger)] == [None, [1], [0, 2], None]
    assert joined([], ledger) == []


def test_token_ids_stand_in_one_place() -> None:
    item = assistant_message("hi")
    field = next(iter(TOKEN_FIELDS))
    spans: list[JSONObject] = [{"id": "s0"}, {"id": "s1", "output": [{**item, field: [1, 2]}, item]}]
    strip_tokens(spans)
    assert spans == [{"id": "s0"}, {"id": "s1", "output": [item, item]}]
