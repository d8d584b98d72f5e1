"""The state of a run as one JSON object of bounded size: what `gym-mcp top` shows and what metrics are made of."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gym_mcp.observe.stages import merged
from gym_mcp.types import JSONObject

if TYPE_CHECKING:
    from gym_mcp.coordinator.coordinator import Coordinator
    from gym_mcp.coordinator.events import Event
    from gym_mcp.coordinator.rollout import Arm

SCHEMA: Final = 1
WINDOW: Final = 60
"""Seconds over which a rate is taken."""
_FRESH: Final = 0.2
"""Seconds that a snapshot is good for, however many ask."""
_SPARED: Final = 20
"""How many times as long as a score's interval took is left to the run before the next."""
_FAILURES: Final = 8
_WORDS: Final = 200
"""Characters of a message or an id."""


def process_report(arm: Arm) -> JSONObject:
    """What this process does now: stages, slowest rollouts, its part of the endpoint's limit, its memory."""
    limiter = getattr(arm.model, "limiter", None)
    limit = {name: getattr(limiter, name) for name in _LIMITER} if limiter is not None else None
    return {**arm.stages.report(), "limit": limit, "rss": resident_bytes()}


_LIMITER: Final = ("limit", "maximum", "in_flight", "waiting")


def resident_bytes() -> int:
    """Memory of this process; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


@dataclass(slots=True)
class Lost:
    """What became of the spans of some processes."""

    sent: int = 0
    dropped: int = 0
    problem: str = ""

    def add(self, other: Lost) -> None:
        self.sent += other.sent
        self.dropped += other.dropped
        self.problem = self.problem or other.problem


class Status:
    """Listens to a run and tells how it stands."""

    def __init__(self, coordinator: Coordinator, run_dir: Path) -> None:
        self.coordinator = coordinator
        self.run_dir = run_dir
        self.retried: Counter[str] = Counter()
        self.reward_sum = 0.0
        self._title = ""
        self._began = time.monotonic()
        self._failures: deque[JSONObject] = deque(maxlen=_FAILURES)
        self._samples: deque[tuple[float, int, int]] = deque(maxlen=WINDOW + 1)
        self._finished = 0
        self._score: tuple[float | None, tuple[float, float] | None] = (None, None)
        self._score_due = 0.0
        self._snapshot: JSONObject = {}
        self._good_until = 0.0
        self._sample(self._began)
        coordinator.listen(self.on_event)

    def on_event(self, event: Event) -> None:
        from gym_mcp.coordinator.events import AttemptFailed, RolloutFinished, RunStarted

        if isinstance(event, RolloutFinished):
            self._rollout(event.row)
        elif isinstance(event, AttemptFailed):
            self.retried[event.kind] += 1
        elif isinstance(event, RunStarted):
            self._title = event.title
            self._began = time.monotonic()
            self._sample(self._began)

    def _rollout(self, row: JSONObject) -> None:
        self._finished += 1
        if row["outcome"] == "scored":
            self.reward_sum += row["reward"]
        else:
            self._failures.append({
                "task_id": row["task_id"][:_WORDS],
                "repeat": row["repeat"],
                "kind": row["failure"]["kind"],
                "message": row["failure"]["message"][:_WORDS],
            })  # fmt: skip
        now = time.monotonic()
        if now - self._samples[-1][0] >= 1.0:
            self._sample(now)

    def _sample(self, now: float) -> None:
        self._samples.append((now, self._finished, self.coordinator.model_calls))

    def as_json(self) -> JSONObject:
        """The state now, at most 0.2 s old."""
        now = time.monotonic()
        if now >= self._good_until:
            self._snapshot = self._take(now)
            self._good_until = time.monotonic() + _FRESH
        return self._snapshot

    def state(self) -> str:
        coordinator = self.coordinator
        return "draining" if coordinator.draining else "paused" if coordinator.paused else "running"

    def _take(self, now: float) -> JSONObject:
        coordinator = self.coordinator
        tally, lags = coordinator.tally, coordinator.lags
        reports = coordinator.reports()
        found = merged(reports)
        done, expected = tally.done, tally.expected
        pass_1, interval = self._headline(now)
        rates = self._rates(now, found["model_calls"])
        left = (expected - done) / rates["rollouts"] if rates["rollouts"] else None
        p50, p99 = lags.quantile(0.5), lags.quantile(0.99)
        return {
            "schema": SCHEMA,
            "run_dir": str(self.run_dir.resolve()),
            "title": self._title,
            "pid": os.getpid(),
            "state": self.state(),
            "seconds": round(now - self._began, 1),
            "expected": expected,
            "done": done,
            "failed": dict(sorted(tally.failed.items())),
            "retried": dict(sorted(self.retried.items())),
            "pass_at_1": pass_1,
            "ci95": list(interval) if interval else None,
            "usage": {**dict(tally.usage), "cost": tally.cost},
            "rates": rates,
            "seconds_left": None if left is None else round(left, 1),
            "concurrency": coordinator.concurrency,
            "in_flight": sum(found["stages"].values()),
            "waiting_for_room": coordinator.waiting,
            **found,
            "limit": summed_limits(reports),
            "lag": {"p50": p50, "p99": p99, "max": lags.greatest if p99 is not None else None},
            "rss": process_memory(reports),
            "workers": coordinator.workers,
            "failures": list(self._failures),
        }

    def _headline(self, now: float) -> tuple[float | None, tuple[float, float] | None]:
        """The score and its interval, which looks at every task: not oftener than the run can spare."""
        if now >= self._score_due:
            self._score = self.coordinator.tally.headline()
            self._score_due = now + _SPARED * (time.monotonic() - now)
        return self._score

    def _rates(self, now: float, calls: int) -> dict[str, float]:
        """Per second, over the last minute."""
        while len(self._samples) > 1 and now - self._samples[0][0] > WINDOW:
            self._samples.popleft()
        then, finished, called = self._samples[0] if self._samples else (self._began, 0, 0)
        seconds = max(now - then, 1e-3)
        rates = {"rollouts": (self._finished - finished) / seconds, "model_calls": (calls - called) / seconds}
        return {name: round(max(rate, 0.0), 3) for name, rate in rates.items()}


def summed_limits(reports: list[JSONObject]) -> JSONObject | None:
    """The endpoint's limit over all processes; None where no endpoint is called."""
    limits = [report["limit"] for report in reports if report["limit"] is not None]
    return {name: sum(limit[name] for limit in limits) for name in _LIMITER} if limits else None


def process_memory(reports: list[JSONObject]) -> JSONObject:
    """Resident bytes of the run's own process, and of its worker processes together."""
    own = resident_bytes()
    return {"run": own, "workers": sum(r["rss"] for r in reports if r.get("worker"))}
