"""What the skills did: effects, how often they were used, what they cost. The statistics are `eval compare`'s."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, inf
from pathlib import Path
from typing import Final

from gym_mcp.analysis.compare import compare, difference
from gym_mcp.analysis.estimates import as_json
from gym_mcp.analysis.fields import describe
from gym_mcp.analysis.pairing import Shared, paired_scores, shared_tasks
from gym_mcp.analysis.read import Run, read_run
from gym_mcp.analysis.sheet import SCORED
from gym_mcp.metrics.paired import paired_interval
from gym_mcp.metrics.scores import TaskScores
from gym_mcp.skill_eval.arms import SkillArm, control_first
from gym_mcp.skill_eval.uses import Said, Uses, interleaving, read_uses
from gym_mcp.skill_eval.warnings import warnings
from gym_mcp.types import JSONObject

COSTS: Final = (
    "usage.input_tokens",
    "usage.output_tokens",
    "usage.cost",
    "usage.model_calls",
    "tool_calls",
    "timing.seconds",
)
_OF_PART: Final = ("tasks", "rollouts", "difference", "new_tasks", "p", "detectable")


@dataclass(frozen=True, slots=True)
class Side:
    """An arm with what came of it."""

    arm: SkillArm
    run: Run
    uses: Uses


def report(arms: Sequence[SkillArm], paths: Sequence[Path], metric: str = "reward") -> JSONObject:
    """The report as JSON (`docs/skills.md`), finished or not. Every arm's run must have begun.

    Differences are those of `compare`: the later arm less the earlier, the arm without skills being the first.
    """
    where = dict(zip((arm.name for arm in arms), paths, strict=True))
    runs = [(arm, read_run(where[arm.name])) for arm in control_first(arms)]
    sides = [Side(arm, run, read_uses(run, arm.skills.names)) for arm, run in runs]
    names = [side.arm.name for side in sides]
    found = compare([side.run for side in sides], metric=metric, all_pairs=True, names=names)
    by_name = {side.arm.name: side for side in sides}
    for contrast in found["contrasts"]:
        a, b = by_name[contrast["a"]], by_name[contrast["b"]]
        shared = shared_tasks([a.run, b.run], intersect=False, across_prompts=False)
        contrast["as_treated"] = _as_treated(a, b, metric) if a.arm.is_control else None
        contrast["costs"] = _costs(a, b, shared)
    together = interleaving([side.uses for side in sides])
    arms_found = [_arm(side, known) for side, known in zip(sides, found["arms"], strict=True)]
    return {
        "schema": 1,
        "kind": "skills",
        "metric": metric,
        "tasks": found["tasks"],
        "repeats": sides[0].run.sheet.repeats,
        "complete": all(a["scored"] + sum(a["failed"].values()) == a["expected"] for a in arms_found),
        "arms": arms_found,
        "contrasts": found["contrasts"],
        "interleaving": together,
        "warnings": warnings(arms_found, together),
    }


def _arm(side: Side, known: JSONObject) -> JSONObject:
    columns = side.run.sheet.columns
    costs = {name: describe(side.run.sheet, name) for name in COSTS if name in columns}
    return {
        **known,
        "source": side.arm.source,
        "skills": side.arm.skills.ref,
        "names": list(side.arm.skills.names),
        "activation": side.uses.as_json(),
        "costs": {
            name: {"mean": c["mean"], "sum": c["sum"], "rollouts": c["rollouts"]} for name, c in costs.items()
        },
    }


def _as_treated(control: Side, treated: Side, metric: str) -> JSONObject:
    """The difference where a skill was loaded, and where none was: the agent chose, nobody drew lots."""
    return {
        "loaded": _where(control, treated, metric, True),
        "not_loaded": _where(control, treated, metric, False),
    }


def _where(control: Side, treated: Side, metric: str, loaded: Said) -> JSONObject:
    """The rollouts of `treated` that did (not) load a skill, against the control arm's of the same tasks."""
    sheet, repeats = treated.run.sheet, treated.run.sheet.repeats
    column, state, told = sheet.field(metric), sheet.state, treated.uses.loaded
    chosen = [
        [
            column[slot]
            for slot in range(task * repeats, (task + 1) * repeats)
            if state[slot] == SCORED and told[slot] is loaded and column[slot] == column[slot]
        ]
        for task in range(sheet.tasks)
    ]
    plain = control.run.sheet.metric_values(metric)
    pairs = [(a, b) for a, b in zip(plain, chosen, strict=True) if a and b]
    bounds = sheet.field_bounds(metric)
    found = difference(
        *(TaskScores.of(values, bounds) for values in (zip(*pairs, strict=True) if pairs else ((), ())))
    )
    return {name: found.get(name) for name in _OF_PART}


def _costs(a: Side, b: Side, shared: Shared) -> JSONObject:
    """Of scored rollouts, paired by task: mean of each arm, difference, 95% interval for new tasks."""
    found: JSONObject = {}
    for name in COSTS:
        if name not in a.run.sheet.columns or name not in b.run.sheet.columns:
            continue
        ids, (one, other) = paired_scores((a.run, b.run), shared, name)
        gaps = [y - x for x, y in zip(one.means, other.means, strict=True)]
        if ids and one.mean is not None and other.mean is not None:
            found[name] = {
                "tasks": len(ids),
                "a": one.mean,
                "b": other.mean,
                "difference": fsum(gaps) / len(gaps),
                "new_tasks": as_json(paired_interval(gaps, inf)),
            }
    return found
