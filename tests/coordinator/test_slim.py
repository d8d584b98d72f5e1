"""Rows without their transcripts are the rows, whatever an agent wrote into them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.coordinator import slim
from gym_mcp.coordinator.journal import DamagedJournal, line_of, read_rows
from gym_mcp.coordinator.slim import slim_rows
from gym_mcp.types import JSONObject, Transcript, assistant_message

TRAPS = ("usage", "ledger", "response", "stop", "output", "reward", "error")
Text = st.text(max_size=8) | st.sampled_from(
    ['","usage":{"x":1}', ',"response":{"output":[', '],"ledger":[', ',"stop":"max_turns"}', "\\", '"', "é\u2028"]
)
Leaf = st.none() | st.booleans() | st.integers(-9, 9) | Text
Value = st.recursive(
    Leaf,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(TRAPS), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def rows(draw: st.DrawFn) -> JSONObject:
    """A row in the order in which the coordinator writes its fields, full of look-alikes."""
    facts = draw(st.dictionaries(st.sampled_from(TRAPS), Value, max_size=3))
    text = draw(Text)
    entry = {"seq": 0, "name": "f", "arguments": draw(Value), "result": text, "error": None}
    return {
        **{"schema": 1, "task_id": text, "task_index": 0, "repeat": 0, "outcome": "scored", "failure": None},
        **{"reward": 1.0, "components": {"response": 2.0}, "notes": text},
        **({"answer": text} if draw(st.booleans()) else {}),
        "response": {
            "output": [{"type": "x", "v": draw(Value)}, assistant_message(text)],
            "stop": "completed",
        },
        "ledger": [entry] * draw(st.integers(0, 2)),
        "usage": draw(st.none() | st.just({"model_calls": 1, "cost": None})),
        **({"harness_facts": facts} if facts else {}),
        **{"attempts": 1, "timing": {"seconds": 0.5}},
    }


def slimmed(row: JSONObject) -> JSONObject:
    rest: JSONObject = {k: v for k, v in row.items() if k != "response"}
    response: Any = row["response"]
    return {**rest, "stop": response["stop"], "text": Transcript(response["output"]).answer}


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(st.lists(rows(), max_size=3))
def test_every_field_is_there(tmp_path_factory: pytest.TempPathFactory, given_: list[JSONObject]) -> None:
    path = tmp_path_factory.mktemp("slim") / "rollouts.jsonl"
    path.write_bytes(b"".join(map(line_of, given_)))
    expected = [slimmed(row) for row in read_rows(path)]
    found = [{**row, "ledger": list(row["ledger"])} for row in slim_rows(path, texts=True)]
    assert found == expected


def test_plain_rows_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast way is the one that is taken."""
    path = tmp_path / "rollouts.jsonl"
    row = {
        **{"task_id": "t", "task_index": 0, "repeat": 0, "outcome": "scored", "reward": 1.0, "notes": ""},
        **{"response": {"output": [], "stop": "ended"}, "ledger": [], "usage": None, "attempts": 1},
    }
    path.write_bytes(line_of(row))
    monkeypatch.setattr(slim, "_whole", lambda line, texts: None)
    assert [r["stop"] for r in slim_rows(path)] == ["ended"]


def test_torn_and_broken_lines(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    assert list(slim_rows(path)) == []
    good = orjson.dumps({"task_id": "t", "task_index": 0, "repeat": 0, "outcome": "failed"}) + b"\n"
    path.write_bytes(good + good[:20])
    assert len(list(slim_rows(path))) == 1
    path.write_bytes(good + b'{"task_id": 1}\n' + good)
    with pytest.raises(DamagedJournal, match=r"rollouts\.jsonl:2: not a rollout"):
        list(slim_rows(path))
