"""A report graded against anchor facts: what it says must be true, and it must say what matters."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gym_mcp.claims.check import Verdict, check
from gym_mcp.claims.query import Data, QueryError, parse
from gym_mcp.claims.syntax import Sentence, sentences
from gym_mcp.types import JSONObject

WEIGHTS: Final = {"low": 1, "medium": 2, "high": 3}
_PLAIN: Final = frozenset({"rollouts", "tasks", "pass_at", "pass_hat", "bucket"})


@dataclass(frozen=True, slots=True)
class Anchor:
    """A fact that a good report holds. `evidence`: the query of its claim, or `ROLLOUT PLACE` of its quotation."""

    id: str
    fact: str
    evidence: str
    difficulty: str


@dataclass(frozen=True, slots=True)
class Grade:
    """`value` = (supported / sentences that need evidence)^2 x the weighted share of the anchor facts."""

    verdict: Verdict
    coverage: float
    value: float

    def as_json(self) -> JSONObject:
        return {
            "grade": round(self.value, 6),
            "coverage": round(self.coverage, 6),
            "check": self.verdict.as_json(),
        }


def grade(report: str, data: Data, anchors: list[Anchor]) -> Grade:
    """Only what stands in supported sentences covers an anchor."""
    verdict = check(report, data)
    bad = {p.text for p in verdict.problems}
    shown = {e for s in sentences(report) if s.text not in bad for e in evidence_of(s)}
    whole = sum(WEIGHTS[a.difficulty] for a in anchors)
    covered = sum(WEIGHTS[a.difficulty] for a in anchors if a.evidence in shown)
    coverage = covered / whole if whole else 0.0
    return Grade(verdict, coverage, verdict.soundness * coverage)


def evidence_of(sentence: Sentence) -> Iterator[str]:
    """Its evidence, in one spelling."""
    for claim in sentence.claims:
        try:
            yield ast.unparse(parse(claim.query))
        except QueryError:
            continue
    for citation in sentence.citations:
        yield f"{citation.rollout} {citation.place}"


def extract_anchors(report: str, data: Data) -> list[Anchor]:
    """The anchor facts of a golden report: each evidence of its supported sentences, once."""
    bad = {p.text for p in check(report, data).problems}
    found: dict[str, Anchor] = {}
    for sentence in sentences(report):
        if sentence.text in bad:
            continue
        for evidence in evidence_of(sentence):
            if evidence not in found:
                found[evidence] = Anchor(f"B{len(found) + 1}", sentence.text, evidence, difficulty(evidence))
    return list(found.values())


def difficulty(evidence: str) -> str:
    """`low`: counts and headline scores; `high`: quotations and single tasks or tools; else `medium`."""
    if "(" not in evidence or "task ==" in evidence or "rollout ==" in evidence or "used(" in evidence:
        return "high"
    tree = ast.parse(evidence, mode="eval")
    calls = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    simple = not any(isinstance(n, ast.Compare | ast.BoolOp) for n in ast.walk(tree))
    return "low" if simple and calls <= _PLAIN else "medium"


def shallow(report: str) -> str:
    """The report as a hasty author would leave it: its headings, and its headline numbers."""
    lines = []
    for line in report.splitlines():
        if line.startswith("#"):
            lines += [line, ""]
            continue
        own = [e for s in sentences(line) for e in evidence_of(s)]
        if own and all("(" in e and difficulty(e) == "low" for e in own):
            lines += [line, ""]
    return "\n".join(lines)
