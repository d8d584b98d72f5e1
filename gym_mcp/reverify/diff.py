"""What verifying a run again changed: rollouts, tasks, components and the headline."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import fsum
from pathlib import Path
from typing import Any, Final, Literal

from gym_mcp.coordinator.journal import Journal
from gym_mcp.types import JSONObject

HEADLINE: Final = ("pass_at_1", "ci95", "mean_reward", "mean_reward_ci95", "scored", "failed", "failed_as_zero")
TASKS_SHOWN: Final = 20

Change = Literal["same", "up", "down", "components", "newly_scored", "newly_failed", "still_failed"]


@dataclass(slots=True)
class Pairs:
    """Values of one component before and after, of the rollouts that have it both times."""

    before: array[float] = field(default_factory=lambda: array("d"))
    after: array[float] = field(default_factory=lambda: array("d"))

    def as_json(self) -> JSONObject:
        n = len(self.before)
        changed = sum(a != b for a, b in zip(self.before, self.after, strict=True))
        return {
            "rollouts": n,
            "before": fsum(self.before) / n,
            "after": fsum(self.after) / n,
            "changed": changed,
        }


@dataclass(slots=True)
class TaskChange:
    """A task's rollouts that were scored both times, and how many of them changed."""

    before: float = 0.0
    after: float = 0.0
    rollouts: int = 0
    changed: int = 0


class Diff:
    """Fed with each (old, new) row; every changed rollout goes to a file, totals stay in memory."""

    def __init__(self, changes: Path) -> None:
        changes.unlink(missing_ok=True)
        self._file = Journal(changes)
        self.counts: Counter[Change] = Counter()
        self.failures: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self._components: defaultdict[str, Pairs] = defaultdict(Pairs)
        self._only: dict[str, Counter[str]] = {"before": Counter(), "after": Counter()}
        self._tasks: dict[str, TaskChange] = {}

    def add(self, old: JSONObject, new: JSONObject) -> None:
        """Count one rollout."""
        change = _kind(old, new)
        self.counts[change] += 1
        self._add_task(old, new)
        if new["outcome"] == "scored" and old["outcome"] == "scored":
            self._add_components(old["components"], new["components"])
        if new["outcome"] == "failed" and new["failure"].get("during") == "reverify":
            kind, message = new["failure"]["kind"], new["failure"]["message"]
            self.failures[kind] += 1
            self.examples[kind] = min(message, self.examples.get(kind, message))
        if change not in ("same", "still_failed"):
            self._file.append(_line(change, old, new))

    def _add_task(self, old: JSONObject, new: JSONObject) -> None:
        if old["outcome"] == new["outcome"] == "scored":
            task = self._tasks.setdefault(old["task_id"], TaskChange())
            task.before += old["reward"]
            task.after += new["reward"]
            task.rollouts += 1
            task.changed += old["reward"] != new["reward"]

    def _add_components(self, old: Mapping[str, float], new: Mapping[str, float]) -> None:
        for name in old.keys() & new.keys():
            self._components[name].before.append(old[name])
            self._components[name].after.append(new[name])
        self._only["before"].update(old.keys() - new.keys())
        self._only["after"].update(new.keys() - old.keys())

    def close(self) -> None:
        self._file.close()

    def as_json(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> JSONObject:
        """The whole diff; `before` and `after` are the metrics of the two."""
        return {
            "rollouts": dict(sorted(self.counts.items())),
            "headline": {name: [before.get(name), after.get(name)] for name in HEADLINE},
            "components": {name: pairs.as_json() for name, pairs in sorted(self._components.items())},
            "components_only_before": dict(sorted(self._only["before"].items())),
            "components_only_after": dict(sorted(self._only["after"].items())),
            "tasks_changed": sum(1 for task in self._tasks.values() if task.changed),
            "tasks": self._most_changed(),
            "not_verified": dict(sorted(self.failures.items())),
            "not_verified_examples": dict(sorted(self.examples.items())),
        }

    def _most_changed(self) -> list[JSONObject]:
        found: list[JSONObject] = [
            {
                "task_id": name,
                "before": t.before / t.rollouts,
                "after": t.after / t.rollouts,
                "rollouts": t.rollouts,
                "changed": t.changed,
            }
            for name, t in self._tasks.items()
            if t.changed
        ]
        found.sort(key=lambda t: (-abs(t["after"] - t["before"]), t["task_id"]))
        return found[:TASKS_SHOWN]


def _kind(old: JSONObject, new: JSONObject) -> Change:
    if old["outcome"] != new["outcome"]:
        return "newly_scored" if new["outcome"] == "scored" else "newly_failed"
    if new["outcome"] == "failed":
        return "still_failed"
    if old["reward"] != new["reward"]:
        return "up" if new["reward"] > old["reward"] else "down"
    return "same" if old["components"] == new["components"] else "components"


def _line(change: Change, old: JSONObject, new: JSONObject) -> JSONObject:
    """What `reverify-changes.jsonl` says of one rollout."""
    fields = ("outcome", "reward", "components", "notes", "failure")
    return {
        "task_id": old["task_id"],
        "task_index": old["task_index"],
        "repeat": old["repeat"],
        "change": change,
        "before": {name: old.get(name) for name in fields},
        "after": {name: new.get(name) for name in fields},
    }
