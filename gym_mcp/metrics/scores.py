"""The scores of a run, one summary a task: how many rollouts, their mean, and how much they differ."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import fsum, inf, isfinite, nan

from gym_mcp.types import JSONObject

Bounds = tuple[float, float]


@dataclass(slots=True)
class TaskScores:
    """Parallel columns over the tasks that have a score, in the order of the tasks.

    `variances` are the unbiased variances among a task's rollouts (n - 1 below); NaN for a single rollout.
    `two_valued` says that each single score lies on one end of the bounds or the other.
    """

    bounds: Bounds = (0.0, 1.0)
    counts: array[int] = field(default_factory=lambda: array("Q"))
    means: array[float] = field(default_factory=lambda: array("d"))
    variances: array[float] = field(default_factory=lambda: array("d"))
    two_valued: bool = True

    @classmethod
    def of(cls, tasks: Iterable[Sequence[float]], bounds: Bounds = (0.0, 1.0)) -> TaskScores:
        """From the scores of each task's rollouts; tasks without any are left out."""
        found = cls(bounds)
        for scores in tasks:
            if scores:
                found.add(scores)
        return found

    def add(self, scores: Sequence[float]) -> None:
        """One more task. No number hangs on the order of its scores."""
        n = len(scores)
        mean = fsum(scores) / n
        self.counts.append(n)
        self.means.append(mean)
        self.variances.append(fsum([(x - mean) ** 2 for x in scores]) / (n - 1) if n > 1 else nan)
        self.two_valued = self.two_valued and set(scores).issubset(self.bounds)

    def add_passes(self, n: int, c: int, tasks: int = 1) -> None:
        """More tasks of which `c` of `n` rollouts passed."""
        self.counts.extend(array("Q", (n,)) * tasks)
        self.means.extend(array("d", (c / n,)) * tasks)
        self.variances.extend(array("d", (c * (n - c) / (n * (n - 1)) if n > 1 else nan,)) * tasks)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def mean(self) -> float | None:
        """Mean over tasks of the task means: each task counts the same, however many rollouts it has."""
        return fsum(self.means) / len(self.means) if self.means else None

    @property
    def repeats(self) -> float:
        """Harmonic mean of the rollouts a task: the repeats of an even run that would be as exact."""
        return len(self.counts) / fsum(1 / n for n in self.counts) if self.counts else nan

    @property
    def width(self) -> float:
        low, high = self.bounds
        return high - low if isfinite(low) and isfinite(high) else inf


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval and the name of its formula (`docs/statistics.md`)."""

    low: float
    high: float
    method: str

    def as_json(self) -> JSONObject:
        return {"low": self.low, "high": self.high, "method": self.method}
