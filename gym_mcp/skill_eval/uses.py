"""What the rows of an arm say of its skills: offered, asked for, loaded, when; and of skills of other arms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, TypeGuard

from gym_mcp.agents.activation import UNKNOWN
from gym_mcp.analysis.estimates import estimate
from gym_mcp.analysis.read import Run
from gym_mcp.coordinator.slim import slim_rows
from gym_mcp.metrics.scores import TaskScores
from gym_mcp.types import JSONObject

Said = bool | None
"""Yes, no, or None where it cannot be told."""


@dataclass(slots=True)
class Uses:
    """One arm's rollouts by slot (task index * repeats + repeat), as in `Run.sheet`; None: not known."""

    repeats: int
    offered: list[Said]
    loaded: list[Said]
    asked: list[Said]
    started: list[float | None]
    ended: int = 0
    turns: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    by_skill: dict[str, Counter[str]] = field(default_factory=dict)
    foreign: dict[str, Counter[str]] = field(default_factory=dict)

    def by_task(self, values: Sequence[Said]) -> Iterator[list[float]]:
        """What is known of each task's rollouts, as 1 and 0."""
        for start in range(0, len(values), self.repeats):
            yield [float(v) for v in values[start : start + self.repeats] if v is not None]

    def as_json(self) -> JSONObject:
        """Shares are means over tasks, with the interval of a pass rate."""
        return {
            "rollouts": self.ended,
            "unknown": self.ended - sum(1 for v in self.loaded if v is not None),
            "offered": _share(self.by_task(self.offered)),
            "loaded": _share(self.by_task(self.loaded)),
            "asked": sum(1 for v in self.asked if v),
            "first_loaded": {
                "turn": median(self.turns) if self.turns else None,
                "seconds": median(self.seconds) if self.seconds else None,
            },
            "skills": {name: dict(counts) for name, counts in sorted(self.by_skill.items())},
            "foreign": {name: dict(counts) for name, counts in sorted(self.foreign.items())},
        }


def read_uses(run: Run, names: Sequence[str]) -> Uses:
    """Read an arm's journal. `names`: the skills that it has."""
    slots = len(run.sheet.state)
    nothing: list[Said] = [None] * slots
    found = Uses(run.sheet.repeats, nothing[:], nothing[:], nothing[:], [None] * slots)
    found.by_skill = {name: Counter(offered=0, loaded=0, asked=0, unknown=0) for name in names}
    seen = bytearray(slots)
    for row in slim_rows(run.directory.rollouts_path):
        slot = run.sheet.slot(row)
        if slot is None or seen[slot]:
            continue
        seen[slot] = 1
        found.started[slot] = (row.get("timing") or {}).get("started")
        found.ended += 1
        _enter(found, slot, row.get("harness_facts") or {})
    return found


def _enter(found: Uses, slot: int, facts: JSONObject) -> None:
    skills = facts.get("skills")
    if _told(skills):
        found.offered[slot] = _any(skill["offered"] for skill in skills.values())
        found.loaded[slot] = _any(skill["loaded"] for skill in skills.values())
        found.asked[slot] = any(skill["asked"] for skill in skills.values())
        loads = [skill["loaded"] for skill in skills.values() if isinstance(skill["loaded"], dict)]
        if loads:
            found.turns.append(min(load["turn"] for load in loads))
            found.seconds.append(min(load["seconds"] for load in loads))
        _count(found.by_skill, skills)
    if _told(foreign := facts.get("foreign_skills")):
        _count(found.foreign, foreign)


def _told(skills: Any) -> TypeGuard[JSONObject]:
    """Whether this is what `Activation` tells: a harness may put what it likes into its facts."""
    return isinstance(skills, dict) and all(
        isinstance(skill, dict) and skill.keys() >= {"offered", "loaded", "asked"} for skill in skills.values()
    )


def _count(counts: dict[str, Counter[str]], skills: JSONObject) -> None:
    for name, skill in skills.items():
        counter = counts.setdefault(name, Counter())
        counter["unknown"] += UNKNOWN in (skill["offered"], skill["loaded"])
        for what in ("offered", "loaded", "asked"):
            counter[what] += isinstance(skill[what], dict)


def _any(values: Iterable[Any]) -> Said:
    """Of several skills: yes if one was; no only if that is known of all."""
    given = list(values)
    if any(isinstance(value, dict) for value in given):
        return True
    return None if UNKNOWN in given else False


def _share(tasks: Iterable[list[float]]) -> JSONObject:
    return estimate(TaskScores.of(tasks), full=False)


def interleaving(arms: Sequence[Uses]) -> JSONObject | None:
    """How far apart the same rollout began in the arms (median, seconds), and how long all took.

    None before any has begun in all of them.
    """
    together = [list(times) for times in zip(*(arm.started for arm in arms), strict=True)]
    gaps = [max(known) - min(known) for times in together if len(known := _known(times)) == len(arms)]
    everything = [time for times in together for time in _known(times)]
    if not gaps:
        return None
    return {"median_gap": median(gaps), "span": max(everything) - min(everything)}


def _known(times: Iterable[float | None]) -> list[float]:
    return [time for time in times if time is not None]
