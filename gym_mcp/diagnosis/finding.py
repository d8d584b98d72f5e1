"""A finding: what was seen, how often, in which rollouts, whose it is, and what could be done about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from gym_mcp.diagnosis.facts import Facts
from gym_mcp.metrics.intervals import wilson_interval
from gym_mcp.types import JSONObject

Label = Literal["KG", "UK", "BI", "TI", "IR", "DA"]
LABELS: Final[dict[str, str]] = {
    "KG": "knowledge gap",
    "UK": "unreliable knowledge",
    "BI": "behavioural",
    "TI": "task or verifier",
    "IR": "infrastructure",
    "DA": "data artifact",
}
INTERVENTIONS: Final[dict[str, tuple[str, str]]] = {
    "KG": ("training", "train on tasks of this kind, or give the agent the knowledge; repeats will not help"),
    "UK": ("training", "the agent can do it: train on its own passing rollouts, or let it try again and check"),
    "BI": ("prompt", "tell the agent, or shape its loop, so that it does not do this"),
    "TI": ("verifier", "read the rollouts, repair the task or its verifier, and re-verify"),
    "IR": ("harness", "repair what failed under the agent and resume; no score should rest on it"),
    "DA": ("data", "repair or drop the rows, and say so"),
}
SHOWN: Final = 20
"""Rollouts that a finding names; `count` says how many there are."""


@dataclass(slots=True)
class Finding:
    """`count` of `of` (`unit`). `interval`: 95%, Wilson, of the rate over rollouts or tasks taken as independent.

    `suspect`: it points at something other than the agent. `confidence`: `high` when the rows leave no
    other reading, `low` when they only hint.
    `tasks_could_turn`, `points`: no repair of this can turn more tasks, or
    raise pass@1 by more points.
    """

    kind: str
    label: Label
    title: str
    count: int
    of: int
    unit: str = "rollouts"
    key: str = ""
    confidence: Literal["high", "medium", "low"] = "high"
    suspect: bool = False
    interval: tuple[float, float] | None = None
    rollouts: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    details: JSONObject = field(default_factory=dict)
    tasks_could_turn: int = 0
    points: float = 0.0
    intervention: str = ""
    advice: str = ""

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.key}" if self.key else self.kind

    def as_json(self) -> JSONObject:
        return {"id": self.id, "class": LABELS[self.label], **asdict(self)}


@dataclass(slots=True)
class Scale:
    """What turns the rollouts of a finding into what they can cost: per task, scored rollouts and passes."""

    ids: list[str]
    scored: list[int]
    passed: list[int]

    @property
    def tasks_scored(self) -> int:
        return sum(1 for n in self.scored if n)


def finding(
    scale: Scale,
    kind: str,
    label: Label,
    title: str,
    shows: Iterable[Facts],
    of: int,
    *,
    unit: str = "rollouts",
    **more: object,
) -> Finding:
    """A finding of the rollouts that show it; what is not given follows from them. `unit` `tasks` counts their
    tasks."""
    rows = sorted(shows, key=lambda f: (f.task, f.repeat))
    tasks = sorted({f.task for f in rows})
    lost: dict[int, int] = {}
    for f in rows:
        if f.failing:
            lost[f.task] = lost.get(f.task, 0) + 1
    found = Finding(kind, label, title, len(tasks) if unit == "tasks" else len(rows), of, unit)
    found.rollouts = [f.id for f in rows[:SHOWN]]
    found.tasks = [scale.ids[t] for t in tasks[:SHOWN]]
    found.tasks_could_turn = len(lost)
    if scale.tasks_scored:
        found.points = round(100 * sum(n / scale.scored[t] for t, n in lost.items()) / scale.tasks_scored, 4)
    found.intervention, found.advice = INTERVENTIONS[label]
    for name, value in more.items():
        setattr(found, name, value)
    if 0 <= found.count <= found.of and found.of:
        low, high = wilson_interval(found.count, found.of)
        found.interval = (round(low, 6), round(high, 6))
    return found
