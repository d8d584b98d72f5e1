"""Counts and times of calls, for metrics. Kept only where they were asked for; processes add theirs up."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

from gym_mcp.observe.stages import MODEL, OPEN, TOOL, VERIFY, Step, Watcher
from gym_mcp.types import JSONObject

SLOW: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
"""Upper bounds of the buckets of model calls, in seconds."""
FAST: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0)
"""Those of what an environment does."""


class Histogram:
    """How many times were at most so long. `counts` has one more than `bounds`: what was longer than all."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def take(self) -> JSONObject:
        """What was added since the last time: for another process to `merge`."""
        taken = {"counts": self.counts, "total": self.total}
        self.counts, self.total = [0] * len(self.counts), 0.0
        return taken

    def merge(self, taken: JSONObject) -> None:
        self.counts = [a + b for a, b in zip(self.counts, taken["counts"], strict=True)]
        self.total += taken["total"]


class Numbers(Watcher):
    """What metrics say of the calls of a run, beyond what its tally and its stages know."""

    def __init__(self) -> None:
        self.seconds = {MODEL: Histogram(SLOW), TOOL: Histogram(FAST), OPEN: Histogram(FAST)}
        self.seconds[VERIFY] = Histogram(FAST)
        self.counts: Counter[str] = Counter()
        """`model_ok`, `model_error`, `tool_ok`, `tool_error`, `retries`, and tokens by kind."""

    def step_ended(self, step: Step) -> None:
        self.seconds[step.kind].add(step.seconds)
        if step.kind == MODEL:
            self._model(step)
        elif step.kind == TOOL:
            bad = step.error is not None or step.answer.is_error
            self.counts["tool_error" if bad else "tool_ok"] += 1

    def _model(self, step: Step) -> None:
        response = step.answer
        if response is None:
            self.counts["model_error"] += 1
            return
        counts, usage = self.counts, response.usage
        counts["model_ok"] += 1
        counts["retries"] += response.retries
        for kind in ("input", "output", "cached", "reasoning"):
            counts[kind] += getattr(usage, kind)

    def take(self) -> JSONObject:
        taken = {"counts": dict(self.counts), "seconds": {kind: h.take() for kind, h in self.seconds.items()}}
        self.counts = Counter()
        return taken

    def merge(self, taken: JSONObject) -> None:
        self.counts.update(taken["counts"])
        for kind, histogram in taken["seconds"].items():
            self.seconds[kind].merge(histogram)
