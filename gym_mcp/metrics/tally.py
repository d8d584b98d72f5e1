"""Running totals of a run: a few numbers a task, so that memory does not follow the rollouts."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import inf, isfinite
from operator import add
from statistics import fmean
from typing import Any, Final

from gym_mcp.metrics.estimators import pass_at_k, pass_hat_k
from gym_mcp.metrics.intervals import score_interval, these_tasks_interval
from gym_mcp.metrics.scores import TaskScores
from gym_mcp.types import JSONObject

FULL: Final = 1e-9
"""How far from the best score a full one may be: a sum of weights is rarely exactly 1."""


def is_full(reward: float, best: float) -> bool:
    """Whether a rollout passes: it has a full score."""
    return abs(reward - best) <= FULL


def worst_score(bounds: tuple[float, float], *, higher_is_better: bool) -> float:
    """What a failed rollout counts when it must count: the worst end of the range, 0 where there is none."""
    worst = bounds[0] if higher_is_better else bounds[1]
    return worst if isfinite(worst) else 0.0


class Tally:
    """Counts of `tasks` x `repeats` expected rollouts. A rollout passes with a full score.

    No number depends on the order in which the rows came.
    """

    def __init__(
        self,
        tasks: int,
        repeats: int,
        reward_range: tuple[float, float] = (0.0, 1.0),
        *,
        higher_is_better: bool = True,
    ) -> None:
        self.tasks = tasks
        self.repeats = repeats
        self.reward_range = reward_range
        self.best = reward_range[1] if higher_is_better else reward_range[0]
        self.worst = worst_score(reward_range, higher_is_better=higher_is_better)
        self.failed: Counter[str] = Counter()
        self.failure_examples: dict[str, str] = {}
        """One message for each kind of failure: the first in the alphabet, whatever came first."""
        self.usage: Counter[str] = Counter()
        self._cost: Fraction | None = Fraction(0)
        self.tool_calls = 0
        self.tool_errors = 0
        self._two_valued = True
        self._scored = array("Q", bytes(8 * tasks))
        self._passed = array("Q", bytes(8 * tasks))
        self._failures = array("Q", bytes(8 * tasks))
        self._sum = array("d", bytes(8 * tasks))
        self._rest = array("d", bytes(8 * tasks))

    @property
    def expected(self) -> int:
        return self.tasks * self.repeats

    @property
    def scored(self) -> int:
        return sum(self._scored)

    @property
    def done(self) -> int:
        return self.scored + self.failed.total()

    @property
    def cost(self) -> float | None:
        """US dollars; None once one rollout's cost was not known."""
        return None if self._cost is None else float(self._cost)

    def add(self, row: JSONObject) -> None:
        """Count one rollout row."""
        index = row["task_index"]
        if row["outcome"] == "scored":
            self._scored[index] += 1
            self._add_reward(index, row["reward"])
            self._passed[index] += is_full(row["reward"], self.best)
            self._two_valued = self._two_valued and row["reward"] in self.reward_range
        else:
            self._failures[index] += 1
            kind, message = row["failure"]["kind"], row["failure"]["message"]
            self.failed[kind] += 1
            self.failure_examples[kind] = min(message, self.failure_examples.get(kind, message))
        ledger = row.get("ledger") or ()
        self.tool_calls += len(ledger)
        self.tool_errors += sum(1 for entry in ledger if entry["error"])
        self._add_usage(row.get("usage"))

    def _add_reward(self, index: int, reward: float) -> None:
        """Sum with twice the digits of a float (Knuth's TwoSum), so that the order does not show."""
        before = self._sum[index]
        after = before + reward
        added = after - before
        self._sum[index] = after
        self._rest[index] += (before - (after - added)) + (reward - added)

    def _total(self, index: int) -> float:
        return self._sum[index] + self._rest[index]

    def _add_usage(self, usage: Any) -> None:
        if usage is None:
            return
        cost = usage.get("cost")
        if cost is None:
            self._cost = None
        elif self._cost is not None:
            self._cost += Fraction(cost)
        for key, value in usage.items():
            if key != "cost":
                self.usage[key] += value

    def _alike(self, *, failed_too: bool = False) -> Counter[tuple[int, int]]:
        """How many tasks there are of each (scored rollouts, passed ones); those without any left out."""
        counts = map(add, self._scored, self._failures) if failed_too else self._scored
        return Counter({key: n for key, n in Counter(zip(counts, self._passed, strict=True)).items() if key[0]})

    def mean_reward(self) -> float | None:
        """Mean over tasks of each task's mean reward, failures left out; None before the first score."""
        return _mean(self._task_means())

    def _task_means(self) -> array[float]:
        return array("d", (self._total(i) / n for i, n in enumerate(self._scored) if n))

    def headline(self) -> tuple[float | None, tuple[float, float] | None]:
        """(pass@1, its 95% interval), failures left out."""
        return _headline(self._alike())

    def metrics(self) -> JSONObject:
        """Everything the run's table shows; the content of `metrics.json`."""
        alike = self._alike()
        pass_1, interval = _headline(alike)
        passes = _passes(alike)
        repeats = passes.repeats if self._two_valued else inf
        reward_interval = score_interval(self._task_means(), self.reward_range, repeats=repeats)
        here = these_tasks_interval(passes)
        return {
            "expected": self.expected,
            "scored": self.scored,
            "failed": dict(sorted(self.failed.items())),
            "failure_examples": dict(sorted(self.failure_examples.items())),
            "missing": self.expected - self.done,
            "tasks": self.tasks,
            "repeats": self.repeats,
            "mean_reward": self.mean_reward(),
            "mean_reward_ci95": list(reward_interval) if reward_interval else None,
            "pass_at_1": pass_1,
            "ci95": list(interval) if interval else None,
            "ci95_these_tasks": [here.low, here.high] if here else None,
            "failed_as_zero": self._failed_as_zero(),
            **_by_k(alike),
            **self._buckets(alike),
            "usage": {**dict(self.usage), "cost": self.cost},
            "tool_calls": self.tool_calls,
            "tool_errors": self.tool_errors,
        }

    def _failed_as_zero(self) -> JSONObject:
        """The same numbers with each failed rollout counted as the worst score; as 0 where there is no worst."""
        rollouts = enumerate(map(add, self._scored, self._failures))
        means = array("d", ((self._total(i) + self._failures[i] * self.worst) / n for i, n in rollouts if n))
        pass_1, interval = _headline(self._alike(failed_too=True))
        return {
            "mean_reward": _mean(means),
            "pass_at_1": pass_1,
            "ci95": list(interval) if interval else None,
        }

    def _buckets(self, alike: Counter[tuple[int, int]]) -> JSONObject:
        """Tasks that pass always, sometimes, never; and those without any score."""
        always = sum(times for (n, c), times in alike.items() if c == n)
        never = sum(times for (_, c), times in alike.items() if not c)
        scored = alike.total()
        return {
            "always_pass": always,
            "sometimes_pass": scored - always - never,
            "never_pass": never,
            "unscored_tasks": self.tasks - scored,
        }


def _passes(alike: Counter[tuple[int, int]]) -> TaskScores:
    found = TaskScores()
    for (n, c), tasks in alike.items():
        found.add_passes(n, c, tasks)
    return found


def _headline(alike: Counter[tuple[int, int]]) -> tuple[float | None, tuple[float, float] | None]:
    passes = _passes(alike)
    return passes.mean, score_interval(passes.means, repeats=passes.repeats)


def _by_k(alike: Counter[tuple[int, int]]) -> JSONObject:
    """pass@k and pass^k for each k that every scored task has rollouts for."""
    ks = range(1, min((n for n, _ in alike), default=0) + 1)

    def over_tasks(estimator: Callable[[int, int, int], float]) -> dict[str, float]:
        return {
            str(k): sum(times * estimator(n, c, k) for (n, c), times in alike.items()) / alike.total() for k in ks
        }

    return {"pass_at_k": over_tasks(pass_at_k), "pass_hat_k": over_tasks(pass_hat_k)}


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
