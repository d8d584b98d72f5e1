"""`analyze(run)`: everything about a run that can be computed, as one JSON value. The same run, the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import orjson

from gym_mcp.analysis.profile import profile
from gym_mcp.diagnosis.ability import ability
from gym_mcp.diagnosis.behaviour import behaviour
from gym_mcp.diagnosis.contrast import contrasts
from gym_mcp.diagnosis.data import data
from gym_mcp.diagnosis.evidence import evidence
from gym_mcp.diagnosis.finding import INTERVENTIONS, LABELS, Finding
from gym_mcp.diagnosis.funnel import cost_of_failure, funnel
from gym_mcp.diagnosis.infrastructure import infrastructure
from gym_mcp.diagnosis.prompts import prompts
from gym_mcp.diagnosis.results import results
from gym_mcp.diagnosis.scan import Cluster, Scan, scan
from gym_mcp.diagnosis.scoring import scoring
from gym_mcp.diagnosis.versus import versus
from gym_mcp.types import JSONObject

PATTERNS: Final = 30
_FILES: Final = (
    "manifest.json",
    "tasks.jsonl",
    "rollouts.jsonl",
    "metrics.json",
    "rollouts.superseded.jsonl",
    "reverify.json",
)
_SURE: Final = {"high": 0, "medium": 1, "low": 2}


def analyze(path: Path, against: Path | None = None) -> JSONObject:
    """The analysis of the run at `path`, against an earlier one if given. `docs/analysis.md` has the fields."""
    return analysis_of(scan(path), scan(against) if against else None)


def analysis_of(s: Scan, before: Scan | None = None) -> JSONObject:
    """The same of runs that were read already."""
    scale = s.scale
    found = [
        *infrastructure(s, scale),
        *results(s, scale),
        *scoring(s, scale),
        *evidence(s, scale),
        *prompts(s, scale),
        *data(s, scale),
        *behaviour(s, scale),
        *ability(s, scale),
    ]
    contrast = None
    if before is not None:
        more, contrast = versus(s, before, scale)
        found += more
    found.sort(key=_order)
    numbers = profile(s.run)
    return {
        "schema": 1,
        "kind": "analysis",
        "run": {k: v for k, v in s.run.about().items() if k != "run_dir"},
        "artifacts": _artifacts(s),
        "counts": numbers["counts"],
        "score": numbers["score"],
        "buckets": numbers["buckets"],
        "pass_at_k": numbers["pass_at_k"],
        "funnel": funnel(s),
        "cost": cost_of_failure(s),
        "tools": _tools(s),
        "error_patterns": _patterns(s),
        "contrasts": contrasts(s),
        "against": contrast,
        "taxonomy": {k: {"class": v, "intervention": INTERVENTIONS[k][0]} for k, v in LABELS.items()},
        "findings": [f.as_json() for f in found],
    }


def dump(analysis: JSONObject) -> bytes:
    """The bytes of `findings.json`."""
    return orjson.dumps(analysis, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def _order(f: Finding) -> tuple[bool, int, float, int, str]:
    return not f.suspect, _SURE[f.confidence], -f.points, -f.count, f.id


def _artifacts(s: Scan) -> list[JSONObject]:
    directory = s.run.path
    return [{"file": name, "present": (directory / name).is_file()} for name in _FILES]


def _tools(s: Scan) -> list[JSONObject]:
    return [
        {"tool": name, "calls": use.calls, "errors": dict(sorted(use.errors.items()))}
        for name, use in sorted(s.tools.items(), key=lambda kv: (-kv[1].calls, kv[0]))
    ]


def _patterns(s: Scan) -> list[JSONObject]:
    """The most frequent templates of tools' errors, failures and what verifiers noted on failing rollouts."""
    every: list[tuple[str, str, str, Cluster]] = [
        *(("tool", f"{tool} ({error})", form, c) for (tool, error, form), c in s.tool_errors.items()),
        *(("failure", kind, form, c) for (kind, form), c in s.failures.items()),
        *(("note", "verifier", form, c) for form, c in s.notes.items()),
    ]
    every.sort(key=lambda p: (-p[3].count, p[0], p[1], p[2]))
    return [
        {
            "source": source,
            "where": where,
            "template": form,
            "count": c.count,
            "rollouts": len(c.slots),
            "example": c.example,
            "shown_by": [f.id for f in s.at(set(sorted(c.slots)[:5]))],
        }
        for source, where, form, c in every[:PATTERNS]
    ]
