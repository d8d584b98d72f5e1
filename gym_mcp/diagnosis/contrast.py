"""Where a passing and a failing rollout of one task part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gym_mcp.diagnosis.facts import Facts, events
from gym_mcp.diagnosis.scan import Scan, row_at
from gym_mcp.types import JSONObject

MOST: Final = 25
CUT: Final = 240


def contrasts(s: Scan) -> list[JSONObject]:
    """Pairs of the sometimes-pass tasks that share the longest beginning, for the first `MOST` such tasks."""
    found: list[JSONObject] = []
    for index, task in enumerate(s.tasks):
        rows = s.of_task(index)
        won, lost = [f for f in rows if f.passed], [f for f in rows if f.failing]
        if not won or not lost:
            continue
        shared, good, bad = max(
            ((_shared(a.steps, b.steps), a, b) for a in won[:16] for b in lost[:16]),
            key=lambda t: (t[0], -t[1].repeat, -t[2].repeat),
        )
        found.append(
            {
                "task_id": task.id,
                "passed": good.id,
                "failed": bad.id,
                "shared_events": shared,
                "passed_next": _event(s, good, shared),
                "failed_next": _event(s, bad, shared),
                "same_transcript": good.steps == bad.steps,
            }
        )
        if len(found) == MOST:
            break
    return found


def _shared(a: Sequence[object], b: Sequence[object]) -> int:
    """How many elements two sequences begin with in common."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((at for at, (x, y) in pairs if x != y), min(len(a), len(b)))


def _event(s: Scan, f: Facts, at: int) -> str | None:
    """The event at which the rollout goes its own way; None where it ends there."""
    row = row_at(s.run.directory.rollouts_path, f.offset)
    found = events((row.get("response") or {}).get("output") or [])
    return found[at][:CUT] if at < len(found) else None


def shared_events(one: JSONObject, other: JSONObject) -> JSONObject:
    """How many events two rows begin with in common, and the next of each."""
    a, b = (events((row.get("response") or {}).get("output") or []) for row in (one, other))
    shared = _shared(a, b)
    return {
        "shared_events": shared,
        "events": [len(a), len(b)],
        "rewards": [one.get("reward"), other.get("reward")],
        "next": [e[shared][:CUT] if shared < len(e) else None for e in (a, b)],
    }
