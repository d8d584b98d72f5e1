"""How far rollouts get: each stage is what is left of the one before."""

from __future__ import annotations

from collections import Counter

from gym_mcp.analysis.estimates import as_json
from gym_mcp.diagnosis.facts import Facts
from gym_mcp.diagnosis.scan import Scan
from gym_mcp.metrics.intervals import wilson_interval
from gym_mcp.metrics.scores import Interval
from gym_mcp.types import JSONObject


def funnel(s: Scan) -> list[JSONObject]:
    """Stages with counts, the share of the stage before and of all expected rollouts."""
    rows = list(s.present)
    core = core_stage(s)
    stages: list[tuple[str, list[Facts]]] = [("started", rows)]
    rows = [f for f in rows if f.scored]
    stages.append(("reached the verifier", rows))
    if s.uses_tools:
        rows = [f for f in rows if f.calls]
        stages.append(("called a tool", rows))
        rows = [f for f in rows if f.errors < f.calls]
        stages.append(("got a result", rows))
    rows = [f for f in rows if f.stop in ("completed", "ended", "")]
    stages.append(("ended by itself", rows))
    rows = [f for f in rows if f.said or f.stop == "ended" or (core and f.calls)]
    stages.append(("answered", rows))
    rows = [f for f in rows if f.passed]
    stages.append(("passed", rows))
    expected = len(s.rollouts)
    before, found = expected, []
    for name, at in stages:
        low, high = wilson_interval(len(at), before) if before else (0.0, 1.0)
        found.append(
            {
                "stage": name,
                "rollouts": len(at),
                "of": before,
                "survival": round(len(at) / before, 6) if before else None,
                "interval": as_json(Interval(round(low, 6), round(high, 6), "Wilson")),
                "of_expected": round(len(at) / expected, 6) if expected else None,
            }
        )
        before = len(at)
    passed_elsewhere = sum(1 for f in s.scored if f.passed) - len(rows)
    found[-1]["passed_outside"] = passed_elsewhere
    return found


def core_stage(s: Scan) -> bool:
    """Whether passing rests on acting: most passes have calls."""
    acting = Counter(bool(f.calls) for f in s.scored if f.passed)
    return acting[True] > acting[False]


def cost_of_failure(s: Scan) -> JSONObject:
    """What was spent on rollouts that passed, did not, and failed."""
    found: JSONObject = {}
    for name, rows in (
        ("passed", [f for f in s.scored if f.passed]),
        ("not_passed", [f for f in s.scored if not f.passed]),
        ("failed", [f for f in s.present if not f.scored]),
    ):
        found[name] = {
            "rollouts": len(rows),
            "tokens": sum(f.tokens for f in rows),
            "cost": round(sum(sorted(f.cost for f in rows)), 6),
            "tool_calls": sum(f.calls for f in rows),
            "tool_errors": sum(f.errors for f in rows),
        }
    return found
