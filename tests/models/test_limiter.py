"""The limiter against a clock and a scheduler of our own: bounds, fairness, cuts, cancellation."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.models.limiter import COOLDOWN, RECENT, AdaptiveLimiter


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_slow_start_adds_one_a_success_up_to_the_maximum() -> None:
    limiter = AdaptiveLimiter(40)
    assert limiter.limit == 32
    for _ in range(20):
        limiter.succeeded()
    assert limiter.limit == 40
    assert AdaptiveLimiter(4).limit == 4


def test_one_burst_cuts_once() -> None:
    clock = Clock()
    limiter = AdaptiveLimiter(100, clock=clock)
    for _ in range(10):
        limiter.congested()
        clock.now += COOLDOWN / 11
    assert limiter.limit == 22  # 32 * 0.7
    clock.now += COOLDOWN
    limiter.congested()
    assert limiter.limit == 15


def test_recovery_after_a_cut_is_slow_and_reaches_the_maximum() -> None:
    limiter = AdaptiveLimiter(32)
    limiter.congested()
    assert limiter.limit == 22
    limiter.succeeded()
    assert limiter.limit == 22
    rounds = 0
    while limiter.limit < 32:
        rounds += 1
        for _ in range(limiter.limit):
            limiter.succeeded()
    assert 8 <= rounds <= 12  # one call more in each round


def play(limiter: AdaptiveLimiter, clock: Clock, share: float, rounds: int, seed: int = 0) -> None:
    """Rounds of a second in which `limit` calls end, `share` of them refused without a word."""
    rng = random.Random(seed)
    for _ in range(rounds):
        calls = limiter.limit
        for _ in range(calls):
            clock.now += 1 / calls
            if rng.random() < share:
                limiter.refused()
            else:
                limiter.succeeded()


@pytest.mark.parametrize("seed", range(3))
def test_rare_refusals_without_a_reason_do_not_hold_thousands_of_calls_down(seed: int) -> None:
    clock = Clock()
    limiter = AdaptiveLimiter(4_096, clock=clock)
    play(limiter, clock, 0.02, 60, seed)
    assert limiter.limit == 4_096


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_many_refusals_without_a_reason_are_congestion(share: float) -> None:
    clock = Clock()
    limiter = AdaptiveLimiter(1_024, clock=clock)
    play(limiter, clock, 0.0, 20)
    assert limiter.limit == 1_024
    play(limiter, clock, share, 60)
    assert limiter.limit <= 300
    play(limiter, clock, 0.0, 60)
    assert limiter.limit == 1_024


def test_a_refusal_without_a_reason_among_the_first_calls_is_all_that_is_known() -> None:
    first, later = AdaptiveLimiter(100), AdaptiveLimiter(100)
    first.refused()
    assert first.limit == 22
    for _ in range(20):
        later.succeeded()
    later.refused()
    assert later.limit == 52


@pytest.mark.parametrize("maximum", [100, 1_000])
def test_an_endpoint_that_goes_down_cuts_within_few_calls_and_once(maximum: int) -> None:
    clock = Clock()
    limiter = AdaptiveLimiter(maximum, clock=clock)
    for _ in range(2_000):
        limiter.succeeded()
    calls = 0
    while limiter.limit == maximum:
        limiter.refused()
        calls += 1
    assert calls <= 0.06 * max(maximum, RECENT)
    for _ in range(maximum):
        limiter.refused()
    assert limiter.limit == 0.7 * maximum


def test_a_request_to_slow_down_cuts_though_it_is_rare() -> None:
    limiter = AdaptiveLimiter(1_000)
    for _ in range(1_000):
        limiter.succeeded()
    limiter.congested()
    assert limiter.limit == 700


def test_the_limit_never_falls_below_one() -> None:
    clock = Clock()
    limiter = AdaptiveLimiter(2, clock=clock)
    for _ in range(50):
        limiter.congested()
        clock.now += COOLDOWN
    assert limiter.limit == 1


def test_first_come_first_served() -> None:
    async def main() -> list[int]:
        limiter = AdaptiveLimiter(1)
        order: list[int] = []

        async def call(number: int) -> None:
            await limiter.acquire()
            order.append(number)
            await asyncio.sleep(0)
            limiter.release()

        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(call(number))
        return order

    assert asyncio.run(main()) == list(range(20))


def test_a_newcomer_does_not_overtake_the_line() -> None:
    async def main() -> list[str]:
        limiter = AdaptiveLimiter(1)
        order: list[str] = []

        async def call(name: str) -> None:
            await limiter.acquire()
            order.append(name)

        await limiter.acquire()
        waiting = asyncio.create_task(call("first"))
        await asyncio.sleep(0)
        limiter.release()  # the slot is `first`'s from here on, though it has not run yet
        late = asyncio.create_task(call("second"))
        await asyncio.sleep(0)
        limiter.release()
        async with asyncio.timeout(5):
            await asyncio.gather(waiting, late)
        return order

    assert asyncio.run(main()) == ["first", "second"]


def test_growth_wakes_those_who_wait() -> None:
    async def main() -> None:
        limiter = AdaptiveLimiter(100)
        for _ in range(32):
            await limiter.acquire()
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        assert limiter.waiting == 1
        limiter.succeeded()
        async with asyncio.timeout(5):
            await waiting
        assert (limiter.in_flight, limiter.waiting, limiter.limit) == (33, 0, 33)

    asyncio.run(main())


def test_cancelled_after_the_slot_was_handed_over_gives_it_back() -> None:
    async def main() -> None:
        limiter = AdaptiveLimiter(1)
        await limiter.acquire()
        unlucky = asyncio.create_task(limiter.acquire())
        patient = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        limiter.release()  # hands the slot to `unlucky`
        unlucky.cancel()  # before it ran
        async with asyncio.timeout(5):
            await patient
        assert unlucky.cancelled()
        assert (limiter.in_flight, limiter.waiting) == (1, 0)

    asyncio.run(main())


STEPS = st.lists(
    st.tuples(st.sampled_from(["call", "done", "grow", "cut", "refuse", "cancel", "run"]), st.integers(0, 63))
)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.integers(1, 8))
def test_whatever_happens_no_slot_is_lost_or_invented(steps: list[tuple[str, int]], maximum: int) -> None:
    asyncio.run(simulate(steps, maximum))


async def simulate(steps: list[tuple[str, int]], maximum: int) -> None:
    """Random calls, ends, growth, cuts and cancellations; then everything ends, and the limiter is empty."""
    clock = Clock()
    limiter = AdaptiveLimiter(maximum, clock=clock)
    ends: dict[asyncio.Task[None], asyncio.Event] = {}
    holding: set[asyncio.Task[None]] = set()

    async def call(end: asyncio.Event) -> None:
        await limiter.acquire()
        task = asyncio.current_task()
        assert task is not None
        holding.add(task)
        try:
            await end.wait()
        finally:
            holding.discard(task)
            limiter.release()

    def act(step: str, number: int) -> None:
        tasks = list(ends)
        if step == "call":
            end = asyncio.Event()
            ends[asyncio.get_running_loop().create_task(call(end))] = end
        elif step == "grow":
            limiter.succeeded()
        elif step == "cut":
            clock.now += COOLDOWN
            limiter.congested()
        elif step == "refuse":
            clock.now += COOLDOWN
            limiter.refused()
        elif tasks and step == "done":
            ends[tasks[number % len(tasks)]].set()
        elif tasks and step == "cancel":
            tasks[number % len(tasks)].cancel()

    for step, number in steps:
        before = limiter.in_flight  # slots granted before a cut stay granted
        if step == "run":
            await asyncio.sleep(0)
        act(step, number)
        assert len(holding) <= limiter.in_flight <= maximum
        assert limiter.in_flight <= max(before, limiter.limit)
    for end in ends.values():
        end.set()
    async with asyncio.timeout(5):
        await asyncio.gather(*ends, return_exceptions=True)
    assert (limiter.in_flight, limiter.waiting) == (0, 0)
