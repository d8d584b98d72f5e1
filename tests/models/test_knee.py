"""Latency as a signal, against simulated endpoints: what is lost of the answers a second, what is won in waiting.

The endpoints: one without limits, one with K places and a queue, one that batches (slower with each call, but more
in all). Answers of equal, jittery, heavy-tailed and two very different lengths; answers that get longer.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from gym_mcp.models.knee import FLOOR, Knee
from gym_mcp.models.limiter import AdaptiveLimiter

Draw = Callable[[random.Random, float], float]
"""Seconds that an answer takes alone, at a time."""


def about(seconds: float, spread: float = 0.2) -> Draw:
    return lambda rng, now: seconds * rng.uniform(1 - spread, 1 + spread)


def two_kinds(rng: random.Random, now: float) -> float:
    return 20.0 if rng.random() < 0.1 else 1.0


def exponential(rng: random.Random, now: float) -> float:
    return rng.expovariate(1.0)


def heavy(rng: random.Random, now: float) -> float:
    return 3.0 * rng.lognormvariate(-0.5, 1.0)


def longer_after(change: float) -> Draw:
    return lambda rng, now: (2.0 if now < change else 12.0) * rng.uniform(0.8, 1.2)


@dataclass
class Server:
    """`places` calls at a time, the others queue. `batch`: n calls run at n / (n + batch) of `places` in all."""

    draw: Draw
    places: float = float("inf")
    batch: int = 0
    busy: int = 0
    queue: deque[float] = field(default_factory=deque)


class Simulation:
    """`callers` that call again at once, through a limiter."""

    def __init__(
        self, server: Server, callers: int, *, heed: bool = True, faults: float = 0.0, seed: int = 0
    ) -> None:
        self.now = 0.0
        self.rng = random.Random(seed)
        self.server, self.faults = server, faults
        self.limiter = AdaptiveLimiter(callers, clock=lambda: self.now)
        if not heed:
            self.limiter.knee.answered = lambda seconds: False  # type: ignore[method-assign]
        self.idle = callers
        self.ends: list[tuple[float, float]] = []
        self.answers: list[tuple[float, float]] = []

    def _begin(self, asked: float) -> None:
        server = self.server
        seconds = server.draw(self.rng, self.now)
        if server.batch:
            seconds *= (server.busy + server.batch) / server.places
        heapq.heappush(self.ends, (self.now + seconds, asked))

    def _call(self) -> None:
        while self.idle and self.limiter.in_flight < self.limiter.limit:
            self.idle -= 1
            self.limiter.in_flight += 1
            if self.server.busy < self.server.places or self.server.batch:
                self.server.busy += 1
                self._begin(self.now)
            else:
                self.server.queue.append(self.now)

    def run(self, seconds: float) -> Simulation:
        self._call()
        while self.now < seconds:
            self.now, asked = heapq.heappop(self.ends)
            if self.server.queue:
                self._begin(self.server.queue.popleft())
            else:
                self.server.busy -= 1
            self.limiter.in_flight -= 1
            self.idle += 1
            if self.rng.random() < self.faults:
                self.limiter.refused()
            else:
                self.limiter.succeeded(self.now - asked)
                self.answers.append((self.now, self.now - asked))
            self._call()
        return self

    def later(self, share: float = 0.4) -> list[float]:
        """Latencies in order, of the later part of the time."""
        return sorted(latency for at, latency in self.answers if at > share * self.now)


def both(make: Callable[[], Server], callers: int, seconds: float, **more: float) -> tuple[Simulation, Simulation]:
    faults = more.get("faults", 0.0)
    return (
        Simulation(make(), callers, faults=faults).run(seconds),
        Simulation(make(), callers, faults=faults, heed=False).run(seconds),
    )


def check(make: Callable[[], Server], callers: int, seconds: float, least: float, most: float) -> None:
    """At least `least` of the answers that come without the signal, at most `most` of their 99th percentile."""
    with_it, without = both(make, callers, seconds)
    a, b = with_it.later(), without.later()
    assert len(a) >= least * len(b), f"{len(a)} answers instead of {len(b)}"
    assert a[int(0.99 * len(a))] <= most * b[int(0.99 * len(b))]


def test_jitter_and_rare_faults_never_throttle() -> None:
    with_it, without = both(lambda: Server(about(2.0)), 1_024, 60.0, faults=0.02)
    assert with_it.limiter.knee.limit is None
    assert with_it.answers == without.answers


def test_a_full_queue_is_not_made_longer() -> None:
    check(lambda: Server(exponential, places=50), 512, 400.0, least=0.97, most=0.75)


def test_answers_that_get_longer_are_no_queue() -> None:
    check(lambda: Server(longer_after(60.0)), 256, 500.0, least=0.9, most=1.05)


def test_nothing_below_the_floor() -> None:
    simulation = Simulation(Server(exponential, places=5), 2 * FLOOR).run(300.0)
    assert simulation.limiter.limit >= FLOOR


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "callers", "seconds", "least", "most"),
    [
        (lambda: Server(about(2.0)), 4_096, 30.0, 1.0, 1.0),
        (lambda: Server(exponential, places=100), 1_024, 700.0, 0.97, 0.7),
        (lambda: Server(two_kinds, places=64), 1_024, 2_500.0, 0.9, 1.0),
        (lambda: Server(two_kinds), 512, 600.0, 0.9, 1.05),
        (lambda: Server(heavy), 256, 500.0, 0.9, 1.05),
        (lambda: Server(about(1.0, 0.8), places=100, batch=64), 1_024, 800.0, 0.85, 1.0),
        (lambda: Server(about(1.0, 0.8), places=100, batch=512), 1_024, 800.0, 0.9, 1.05),
        (lambda: Server(longer_after(200.0), places=150), 600, 1_500.0, 0.9, 1.0),
    ],
    ids=["jitter", "capacity", "capacity two kinds", "two kinds", "heavy", "batching", "slow batching", "longer"],
)
def test_throughput_is_kept_and_waiting_saved(
    make: Callable[[], Server], callers: int, seconds: float, least: float, most: float
) -> None:
    check(make, callers, seconds, least, most)


def limit_of(knee: Knee) -> int | None:
    return knee.limit


def feed(knee: Knee, clock: list[float], answers: int, latency: float, rate: float) -> None:
    for _ in range(answers):
        clock[0] += 1 / rate
        knee.answered(latency)


def test_a_test_that_brings_fewer_answers_is_undone_and_repeated_ever_more_rarely() -> None:
    clock = [0.0]
    knee = Knee(4_096, lambda: clock[0])
    feed(knee, clock, 500, 1.0, 100.0)
    assert knee.limit is None
    tests: list[int] = []
    for answer in range(100_000):
        before: int | None = knee.limit
        feed(knee, clock, 1, 3.0, (before or 300) / 3.0)
        if before is None and limit_of(knee) is not None:
            tests.append(answer)
    pauses = [b - a for a, b in pairwise(tests)]
    assert 3 <= len(pauses) <= 6 and pauses == sorted(pauses), pauses


def test_a_request_to_slow_down_ends_a_test() -> None:
    clock = [0.0]
    knee = Knee(4_096, lambda: clock[0])
    feed(knee, clock, 500, 1.0, 100.0)
    while knee.limit is None:
        feed(knee, clock, 1, 3.0, 100.0)
    knee.give_up()
    assert knee.limit is None


def test_a_limiter_is_as_it_was_after_a_test_that_came_to_nothing() -> None:
    simulation = Simulation(Server(longer_after(30.0)), 256).run(30.0)
    limiter = simulation.limiter
    assert limiter.limit == 256
    seen = set()
    while limiter.knee.limit is None and simulation.now < 400:
        simulation.run(simulation.now + 1.0)
    while limiter.knee.limit is not None and simulation.now < 800:
        seen.add(limiter.limit)
        simulation.run(simulation.now + 1.0)
    assert min(seen) < 256 and limiter.limit == 256
