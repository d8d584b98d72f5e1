"""What a worker process tells of a row: what is counted, and none of its texts."""

from __future__ import annotations

from typing import Any

from gym_mcp.crew.orders import compact
from gym_mcp.metrics.tally import Tally
from gym_mcp.types import JSONObject

LONG = "a transcript " * 100


def tally_of(row: JSONObject) -> Tally:
    tally = Tally(1, 1)
    tally.add(row)
    return tally


def test_what_is_told_counts_the_same_without_the_texts() -> None:
    usage: JSONObject = {"model_calls": 2, "input_tokens": 7, "output_tokens": 3, "cost": 0.25}
    head: JSONObject = {"task_id": "t", "task_index": 0, "repeat": 0, "usage": usage}
    texts: dict[str, Any] = {
        "response": {"output": [{"content": LONG}], "stop": "completed"},
        "ledger": [
            {"name": "look", "result": LONG, "error": "tool"},
            {"name": "look", "result": LONG, "error": None},
        ],
        "calls": [{"seq": 0, "prompt_token_ids": [1] * 1_000}],
        "messages": {"nodes": [{"id": "n", "parent": "", "item": {"content": LONG}}], "tools": {}},
        "spans": [{"output": [{"content": LONG}]}],
        "harness_facts": {"log": LONG},
        "notes": LONG,
        "before_group": {"notes": LONG},
    }
    failure = {"kind": "model", "message": "no answer", "detail": LONG}
    scored = {**head, **texts, "outcome": "scored", "reward": 1.0, "failure": None}
    failed = {**head, **texts, "outcome": "failed", "reward": None, "failure": failure}
    for row in (scored, failed):
        told = compact(row)
        assert tally_of(told).metrics() == tally_of(row).metrics()
        assert len(str(told)) < 500, told
