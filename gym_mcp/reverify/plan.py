"""What identity hashes say about each rollout of a run: reuse it, verify it again, or run it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gym_mcp.types import JSONObject

Action = Literal["reuse", "re-verify", "re-run"]
ACTIONS: Final[tuple[Action, ...]] = ("reuse", "re-verify", "re-run")
VERIFIER: Final = frozenset({"verifier", "judge"})
"""Parts of a run's identity that only scores rest on."""
ENVIRONMENT: Final = ("environment", "options", "tasks")
"""Parts that what the agent saw and did rests on."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with a rollout row.

    `everything`: also verify again what would be reused. `run_again`: what the rollouts rest on changed, so that
    none of them can be kept; '' when nothing did.
    """

    verifier_changed: bool
    everything: bool = False
    run_again: str = ""

    def of(self, row: JSONObject) -> tuple[Action, str]:
        """(action, why)."""
        if self.run_again:
            return "re-run", self.run_again
        if row["outcome"] == "scored":
            if self.verifier_changed:
                return "re-verify", "scored by another verifier or judge"
            if self.everything:
                return "re-verify", "scored by this verifier; --all asks for it"
            return "reuse", "scored by this verifier"
        failure = row["failure"]
        if failure.get("during") == "reverify":
            return "re-verify", "could not be verified again last time"
        if failure["kind"] in VERIFIER:
            return "re-verify", f"failed in the {failure['kind']}"
        return "re-run", f"failed: {failure['kind']}"

    def wants(self, row: JSONObject) -> bool:
        """Whether a row is to be verified again."""
        return self.of(row)[0] == "re-verify"


@dataclass(slots=True)
class Plan:
    """Counts of rollouts by action and why; `changed` is what differs between the run and now."""

    changed: list[str]
    counts: Counter[tuple[Action, str]] = field(default_factory=Counter)

    @classmethod
    def of(cls, decision: Decision, rows: Iterable[JSONObject], expected: int, changed: list[str]) -> Plan:
        plan = cls(changed)
        plan.counts.update(map(decision.of, rows))
        missing = expected - plan.counts.total()
        if missing > 0:
            plan.counts["re-run", "missing"] = missing
        return plan

    def total(self, action: Action) -> int:
        return sum(n for (what, _), n in self.counts.items() if what == action)

    def as_json(self) -> JSONObject:
        """Totals by action, and `why`: a list of action, reason and count."""
        ordered = sorted(self.counts.items(), key=lambda c: (ACTIONS.index(c[0][0]), -c[1], c[0]))
        why = [{"action": action, "why": why, "rollouts": n} for (action, why), n in ordered]
        return {"changed": self.changed, **{a: self.total(a) for a in ACTIONS}, "why": why}


def decide(old: Mapping[str, Any], now: Mapping[str, Any], *, everything: bool, despite: bool) -> Decision:
    """The decision that a run's identity and the present one lead to.

    `despite`: keep rollouts of an environment that changed; their replay shows whether it still does the same.
    """
    serious = [key for key in ENVIRONMENT if old.get(key) != now.get(key)]
    changed = any(old.get(key) != now.get(key) for key in VERIFIER)
    if serious and not despite:
        return Decision(changed, run_again=f"changed since: {', '.join(serious)}")
    return Decision(changed or bool(serious), everything)
