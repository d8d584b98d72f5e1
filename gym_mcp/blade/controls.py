"""Reports that must not pass: the golden one shuffled, negated, with its numbers or names swapped, or shallow."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Final

from gym_mcp.blade.grade import Anchor, grade
from gym_mcp.claims.query import Data

_EVIDENCE: Final = re.compile(r"\s*\[(?:claim|cite): (?:[^\[\]\"]|\"[^\"]*\")*\]")


def shuffled(report: str) -> str:
    """The words of each line in another order, its evidence left whole."""
    rng = random.Random(7)
    return _each_line(report, lambda words: rng.sample(words, len(words)))


def scattered(report: str) -> str:
    """All words and all evidence of the report in another order, in lines of 12."""
    rng = random.Random(7)
    parts = [
        p for line in report.splitlines() if not line.startswith("#") for p in _EVIDENCE.sub("", line).split()
    ]
    parts += [e.strip() for e in _EVIDENCE.findall(report)]
    rng.shuffle(parts)
    heads = [line for line in report.splitlines() if line.startswith("#")]
    return "\n\n".join([*heads, *(" ".join(parts[i : i + 12]) for i in range(0, len(parts), 12))])


def negated(report: str) -> str:
    """Every sentence denied, its evidence left as it is."""

    def deny(prose: str) -> str:
        for verb in ("is", "are", "was", "were", "has", "have", "did"):
            if re.search(rf"\b{verb}\b", prose):
                return re.sub(rf"\b{verb}\b", f"{verb} not", prose, count=1)
        return f"It is not the case that {prose[:1].lower()}{prose[1:]}"

    return _each_prose(report, deny)


def numbers_swapped(report: str) -> str:
    """Every number of the prose changed, its evidence left as it is."""
    return _each_prose(report, lambda prose: re.sub(r"(?<![\w@.-])\d+", lambda m: str(int(m.group()) + 3), prose))


def claims_changed(report: str) -> str:
    """Every number changed, in the prose and in the claims alike."""
    changed = numbers_swapped(report)
    return re.sub(r"(?<= = )(\d+)(?=[\d.%]*\])", lambda m: str(int(m.group()) + 3), changed)


def without_evidence(report: str) -> str:
    """The prose alone."""
    return _EVIDENCE.sub("", report)


CONTROLS: Final[dict[str, Callable[[str], str]]] = {
    "shuffled": shuffled,
    "scattered": scattered,
    "negated": negated,
    "numbers swapped": numbers_swapped,
    "claims changed": claims_changed,
    "without evidence": without_evidence,
}


def calibrate(report: str, data: Data, anchors: list[Anchor], shallow: str) -> dict[str, float]:
    """Grades of the golden report, the shallow one, and each control."""
    found = {"golden": report, "shallow": shallow}
    found |= {name: change(report) for name, change in CONTROLS.items()}
    return {name: round(grade(text, data, anchors).value, 6) for name, text in found.items()}


def _each_line(report: str, order: Callable[[list[str]], list[str]]) -> str:
    return _each_prose(report, lambda prose: " ".join(order(prose.split())))


def _each_prose(report: str, change: Callable[[str], str]) -> str:
    lines = []
    for line in report.splitlines():
        prose = _EVIDENCE.sub("", line)
        if line.startswith("#") or not prose.strip():
            lines.append(line)
            continue
        evidence = " ".join(e.strip() for e in _EVIDENCE.findall(line))
        lines.append(f"{change(prose.strip())} {evidence}".strip())
    return "\n".join(lines)
