"""What a package holds, and whether it is complete. `docs/analysis.md` has the layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any, Final

import orjson

from gym_mcp.blade.grade import Anchor, grade
from gym_mcp.claims.check import open_data
from gym_mcp.claims.query import Data
from gym_mcp.claims.syntax import read_text
from gym_mcp.coordinator.journal import read_rows
from gym_mcp.errors import UsageError

PHASES: Final = ("skill", "rollouts", "golden")
GOLDEN: Final = 0.85
SHALLOW: Final = 0.4
METRICS: Final = ("model_name", "benchmark", "pass_at_1", "total_tasks", "total_rollouts")


@dataclass(frozen=True, slots=True)
class Golden:
    """A golden report and what stands beside it, all named after the model."""

    report: Path
    metrics: Path
    anchors: Path
    shallow: Path

    @classmethod
    def of(cls, report: Path) -> Golden:
        stem = report.name.removesuffix("_golden_report.md")
        folder = report.parent
        return cls(
            report,
            folder / f"{stem}_golden_report_metrics.json",
            folder / f"{stem}_anchor_facts.json",
            folder / f"{stem}_shallow.md",
        )


@dataclass(frozen=True, slots=True)
class Package:
    """A directory with `skill/`, `rollouts/` and `golden_reports/`."""

    path: Path

    def runs(self) -> list[Path]:
        return sorted(p.parent for p in (self.path / "rollouts").glob("*/rollouts.jsonl"))

    def goldens(self) -> list[Golden]:
        """Its golden reports; `UsageError` when there is none."""
        found = [Golden.of(p) for p in sorted((self.path / "golden_reports").glob("*_golden_report.md"))]
        if not found:
            raise UsageError(f"{self.path}: golden_reports/ has no *_golden_report.md")
        return found

    def data(self, golden: Golden) -> Data:
        """The run that a golden report is about, as its metrics name it, with the others to compare with."""
        named = read_json(golden.metrics).get("run")
        run = self.path / "rollouts" / str(named)
        if run not in self.runs():
            raise UsageError(f"{golden.metrics}: `run` names no directory of rollouts/")
        earlier = read_json(golden.metrics).get("run2")
        return open_data(run, self.path / "rollouts" / str(earlier) if earlier else None)


def read_json(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(read_text(path))
    except orjson.JSONDecodeError as e:
        raise UsageError(f"{path}: no JSON: {e}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{path}: an object is expected")
    return found


def read_anchors(path: Path) -> list[Anchor]:
    rows = read_json(path).get("anchor_facts") or []
    try:
        return [Anchor(r["id"], r["fact"], r["evidence"], r["difficulty"]) for r in rows]
    except (KeyError, TypeError):
        raise UsageError(f"{path}: an anchor fact has id, fact, evidence and difficulty") from None


def validate(package: Package, phase: str = "all", least_anchors: int = 8) -> list[str]:
    """What is missing or wrong, a line each; nothing when the package is complete."""
    checks: dict[str, Callable[[], Iterator[str]]] = {
        "skill": lambda: _skill(package),
        "rollouts": lambda: _rollouts(package),
        "golden": lambda: _golden(package, least_anchors),
    }
    names = PHASES if phase == "all" else (phase,)
    return [f"{name}: {problem}" for name in names for problem in checks[name]()]


def _skill(package: Package) -> Iterator[str]:
    path = package.path / "skill" / "SKILL.md"
    if not path.is_file():
        yield "skill/SKILL.md is missing"
        return
    text = read_text(path)
    head = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    for key in ("name", "description"):
        if head is None or not re.search(rf"^{key}:\s*\S", head.group(1), re.MULTILINE):
            yield f"skill/SKILL.md: its front matter has no {key}"
    if len(text.splitlines()) < 50:
        yield "skill/SKILL.md: fewer than 50 lines"
    if len(re.findall(r"^## ", text, re.MULTILINE)) < 3:
        yield "skill/SKILL.md: fewer than 3 sections"


def _rollouts(package: Package) -> Iterator[str]:
    scored = 0
    for run in package.runs():
        try:
            found = sum(1 for row in read_rows(run / "rollouts.jsonl") if row["outcome"] == "scored")
        except UsageError as e:
            yield str(e)
            continue
        scored += bool(found)
        for name in ("manifest.json", "tasks.jsonl"):
            if not (run / name).is_file():
                yield f"{run.name}: {name} is missing"
    if scored < 2:
        yield f"{scored} runs with scored rollouts in rollouts/; 2 are expected"


def _golden(package: Package, least: int) -> Iterator[str]:
    try:
        goldens = package.goldens()
    except UsageError as e:
        yield str(e)
        return
    for golden in goldens:
        name = golden.report.name
        absent = [p.name for p in (golden.metrics, golden.anchors, golden.shallow) if not p.is_file()]
        if absent:
            yield f"{name}: {', '.join(absent)} missing"
            continue
        text = read_text(golden.report)
        if len(text.splitlines()) < 40:
            yield f"{name}: fewer than 40 lines"
        data, anchors = package.data(golden), read_anchors(golden.anchors)
        if len(anchors) < least:
            yield f"{golden.anchors.name}: {len(anchors)} anchor facts; at least {least}"
        yield from _metrics(golden, data)
        score = grade(text, data, anchors)
        if score.value < GOLDEN or score.verdict.problems:
            problems = len(score.verdict.problems)
            yield f"{name}: grade {score.value:.3f}, {problems} problems; {GOLDEN} and none expected"
        low = grade(read_text(golden.shallow), data, anchors).value
        if low >= SHALLOW:
            yield f"{golden.shallow.name}: grade {low:.3f}; below {SHALLOW} expected"


def _metrics(golden: Golden, data: Data) -> Iterator[str]:
    """The sidecar says what the run says: it is computed again."""
    said, s = read_json(golden.metrics), data.scan
    missing = [key for key in METRICS if key not in said]
    if missing:
        yield f"{golden.metrics.name}: {', '.join(missing)} missing"
        return
    passes = s.run.sheet.scores("pass")
    true = {"pass_at_1": passes.mean, "total_tasks": s.run.sheet.tasks, "total_rollouts": len(s.run.sheet.state)}
    for key, value in true.items():
        number = said[key] if isinstance(said[key], int | float) else nan
        if value is None or not abs(number - value) <= 5e-5:
            yield f"{golden.metrics.name}: {key} is {said[key]}, the run says {value}"
