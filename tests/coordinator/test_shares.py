"""Who gets the next slot: max-min by weight, nothing left unused, nobody's trouble another's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.coordinator.beside import beside
from gym_mcp.coordinator.shares import Job, Share, Slots
from tests.support import run


def jobs(count: int, seconds: float) -> Iterator[Job]:
    async def one() -> None:
        await asyncio.sleep(seconds)

    for _ in range(count):
        yield one


async def go(slots: Slots, *work: tuple[Share, int, float]) -> list[asyncio.Task[None]]:
    """Runs of (share, how many, seconds each), started together; the tasks that run them."""
    return [asyncio.create_task(share.run(jobs(count, each), lambda: False)) for share, count, each in work]


async def until_full(slots: Slots, total: int) -> None:
    async with asyncio.timeout(5):
        while slots.in_flight < total:  # noqa: ASYNC110 - slots have no event for it
            await asyncio.sleep(0.001)


def test_the_slow_run_holds_its_share_and_the_fast_one_goes_on() -> None:
    async def main() -> None:
        slots = Slots(10)
        slow, fast = slots.join(10), slots.join(10)
        async with beside(slots.open()):
            tasks = await go(slots, (slow, 10, 9.0), (fast, 200, 0.002))
            await until_full(slots, 10)
            for _ in range(20):
                assert slow.in_flight == 5
                await asyncio.sleep(0.001)
            await tasks[1]
            await asyncio.sleep(0)
            assert slow.in_flight == 10, "what the other does not need is lent"
            tasks[0].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert slots.in_flight == 0

    run(main)


def test_weights_maxima_and_pauses() -> None:
    async def main() -> None:
        slots = Slots(12)
        double, single, small = slots.join(12, weight=2.0), slots.join(12), slots.join(1)
        async with beside(slots.open()):
            tasks = await go(slots, (double, 199, 0.01), (single, 199, 0.01), (small, 9, 0.01))
            await until_full(slots, 12)
            await asyncio.sleep(0.05)
            seen = (double.in_flight, single.in_flight, small.in_flight)
            assert abs(seen[0] - 7) <= 1 and abs(seen[1] - 4) <= 1 and seen[2] == 1
            single.pause(True)
            await asyncio.sleep(0.03)
            assert (double.in_flight, single.in_flight) == (11, 0)
            single.pause(True, "another")
            single.pause(False)
            await asyncio.sleep(0.02)
            assert single.in_flight == 0, "there is another reason"
            single.pause(False, "another")
            double.allow(2)
            await asyncio.sleep(0.04)
            assert double.in_flight <= 2 and single.in_flight >= 9
            double.allow(12)
            await asyncio.gather(*tasks)

    run(main)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(1, 12), st.sampled_from([1.0, 2.0, 3.0])), min_size=1, max_size=5),
)
def test_full_slots_are_max_min(total: int, asked: list[tuple[int, float]]) -> None:
    """Nobody who wants more has a slot less than another who could give one."""

    async def main() -> list[int]:
        slots = Slots(total)
        shares = [slots.join(want, weight=weight) for want, weight in asked]
        async with beside(slots.open()):
            tasks = await go(slots, *((share, share.maximum, 9.0) for share in shares))
            await until_full(slots, min(total, sum(want for want, _ in asked)))
            found = [share.in_flight for share in shares]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return found

    found = run(main)
    for (want, weight), has in zip(asked, found, strict=True):
        if has < want:
            assert all((has + 1) / weight >= other / w for (_, w), other in zip(asked, found, strict=True))


def test_a_single_slot_goes_round() -> None:
    async def main() -> None:
        slots = Slots(1)
        order: list[str] = []

        def named(name: str) -> Iterator[Job]:
            async def one() -> None:
                order.append(name)

            yield from [one] * 5

        shares = {name: slots.join(1) for name in "abc"}
        async with beside(slots.open()), asyncio.TaskGroup() as group:
            for name, share in shares.items():
                group.create_task(share.run(named(name), lambda: False))
        assert all(sorted(order[i : i + 3]) == ["a", "b", "c"] for i in range(0, 15, 3)), order

    run(main)


def test_a_run_whose_tasks_break_leaves_the_others_alone() -> None:
    def broken() -> Iterator[Job]:
        yield from jobs(3, 0.001)
        raise ValueError("line 4")

    async def main() -> None:
        slots = Slots(4)
        bad, good = slots.join(4), slots.join(4)
        async with beside(slots.open()):
            tasks = await go(slots, (good, 50, 0.001))
            with pytest.raises(ValueError, match="line 4"):
                await bad.run(broken(), lambda: False)
            await tasks[0]

    run(main)


def test_memory_bounds_all_runs_together_and_lets_each_have_one() -> None:
    async def main() -> None:
        slots = Slots(20, memory_mib=1_000)
        big, small, none = slots.join(20, each_mib=400), slots.join(20, each_mib=100), slots.join(20)
        async with beside(slots.open()):
            tasks = await go(slots, (big, 20, 9.0), (small, 20, 9.0), (none, 20, 9.0))
            await until_full(slots, 20)
            assert 400 * big.in_flight + 100 * small.in_flight <= 1_000
            assert big.in_flight >= 1 and small.in_flight >= 2
            assert none.in_flight == 20 - big.in_flight - small.in_flight
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert slots.in_flight == 0

    run(main)


def test_a_run_that_never_arrives_keeps_nobody_waiting() -> None:
    async def main() -> None:
        slots = Slots(4)
        gone, there = slots.join(4), slots.join(4)
        async with beside(slots.open()):
            (task,) = await go(slots, (there, 8, 0.001))
            await asyncio.sleep(0.01)
            assert there.in_flight == 0
            gone.leave()
            await task

    run(main)


def test_what_goes_on_beside_ends_with_it_and_its_error_is_told() -> None:
    async def main() -> None:
        async def forever(ended: list[bool]) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(True)

        async def breaks() -> None:
            raise ValueError("beside")

        ended: list[bool] = []
        async with beside(forever(ended)):
            await asyncio.sleep(0)
        assert ended == [True]
        with pytest.raises(ValueError, match="beside"):
            async with beside(breaks()):
                await asyncio.sleep(0.01)
        with pytest.raises(KeyError):
            async with beside(breaks()):
                await asyncio.sleep(0.01)
                raise KeyError("inside")

    run(main)


async def in_step(slots: int, *parts: tuple[int, int], seed: int = 0) -> list[int]:
    """The arms of rollouts in the order in which they began; each arm is (how many, begun before)."""
    order: list[int] = []

    def noting(arm: int, count: int) -> Iterator[Job]:
        async def one() -> None:
            order.append(arm)
            await asyncio.sleep(0)

        for _ in range(count):
            yield one

    shared = Slots(slots, in_step=seed)
    shares = [shared.join(slots) for _ in parts]
    async with beside(shared.open()), asyncio.TaskGroup() as group:
        for arm, (share, (count, begun)) in enumerate(zip(shares, parts, strict=True)):
            share.begun = begun
            group.create_task(share.run(noting(arm, count), lambda: False))
    return order


def test_arms_in_step_take_turns_in_an_order_that_is_drawn_anew() -> None:
    order = run(lambda: in_step(1, (6, 0), (6, 0), (6, 0)))
    rounds = [tuple(order[i : i + 3]) for i in range(0, 18, 3)]
    assert all(sorted(arms) == [0, 1, 2] for arms in rounds) and len(set(rounds)) > 1
    assert order == run(lambda: in_step(1, (6, 0), (6, 0), (6, 0))), "from the seed"
    assert order != run(lambda: in_step(1, (6, 0), (6, 0), (6, 0), seed=1))


def test_an_arm_that_is_behind_catches_up_first() -> None:
    order = run(lambda: in_step(1, (1, 3), (4, 0)))
    assert order[:3] == [1, 1, 1] and sorted(order[3:]) == [0, 1]
    assert run(lambda: in_step(2, (0, 4), (3, 0))) == [1, 1, 1], "one that has nothing left holds nobody up"


def test_a_run_that_is_held_starts_nothing_whatever_memory_says() -> None:
    async def main() -> None:
        slots = Slots(4)
        share = slots.join(4)
        async with beside(slots.open()):
            (task,) = await go(slots, (share, 12, 0.01))
            await until_full(slots, 4)
            share.pause(True, "control")
            share.pause(False)
            share.let_one()
            await asyncio.sleep(0.05)
            assert share.in_flight == 0 and not task.done()
            share.let_one()
            assert share.in_flight == 0
            share.pause(False, "control")
            await task

    run(main)


def test_a_run_with_all_slots_to_itself_gets_more_and_fewer_of_them() -> None:
    async def main() -> None:
        slots = Slots(4)
        share = slots.join(4)
        async with beside(slots.open()):
            (task,) = await go(slots, (share, 60, 0.01))
            await until_full(slots, 4)
            share.bound(9)
            await until_full(slots, 9)
            share.bound(2)
            await asyncio.sleep(0.05)
            assert share.in_flight == 2
            await task

    run(main)
