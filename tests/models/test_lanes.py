"""Several runs at one endpoint: whose turn it is, and that no slot is lost."""

from __future__ import annotations

import asyncio
from collections import Counter

from gym_mcp.models.lanes import Lane, Lanes
from gym_mcp.models.limiter import AdaptiveLimiter
from tests.support import run


async def calls(
    lane: Lane, name: str, count: int, seconds: float, ended: Counter[str], peak: Counter[str]
) -> None:
    """`count` calls at once, each of `seconds`."""

    async def one() -> None:
        await lane.acquire()
        peak[name] = max(peak[name], lane.in_flight)
        await asyncio.sleep(seconds)
        lane.release()
        ended[name] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())


def test_a_thousand_waiting_calls_of_one_run_do_not_keep_anothers_waiting() -> None:
    async def main() -> None:
        lanes = Lanes(AdaptiveLimiter(10))
        crowd, single = lanes.lane(), lanes.lane()
        ended, peak = Counter[str](), Counter[str]()
        many = asyncio.create_task(calls(crowd, "crowd", 500, 0.002, ended, peak))
        await asyncio.sleep(0.005)
        for _ in range(5):
            await calls(single, "single", 1, 0.002, ended, peak)
        assert ended["crowd"] < 200
        await many
        assert lanes.limiter.in_flight == lanes.limiter.waiting == crowd.waiting == 0

    run(main)


def test_a_run_of_long_answers_holds_its_part_of_the_limit() -> None:
    async def main() -> None:
        lanes = Lanes(AdaptiveLimiter(10))
        slow, fast = lanes.lane(), lanes.lane()
        ended, peak = Counter[str](), Counter[str]()
        async with asyncio.TaskGroup() as group:
            quick = group.create_task(calls(fast, "fast", 400, 0.002, ended, peak))
            late = group.create_task(calls(slow, "slow", 20, 0.2, ended, peak))
            await asyncio.sleep(0.1)
            assert slow.in_flight == fast.in_flight == 5
            await quick
            await asyncio.sleep(0.02)
            assert slow.in_flight == 10  # what the other does not use any more
            await late

    run(main)


def test_weights_and_a_limit_of_one() -> None:
    async def main() -> None:
        lanes = Lanes(AdaptiveLimiter(1))
        order: list[str] = []

        async def call(lane: Lane, name: str) -> None:
            await lane.acquire()
            order.append(name)
            await asyncio.sleep(0)
            lane.release()

        a, b = lanes.lane(), lanes.lane()
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(call(a, "a"))
            for _ in range(4):
                group.create_task(call(b, "b"))
        assert 2 <= order[:6].count("b") <= 3, order

        wide = Lanes(AdaptiveLimiter(9))
        heavy, light = wide.lane(2.0), wide.lane()
        ended, peak = Counter[str](), Counter[str]()
        async with asyncio.TaskGroup() as group:
            group.create_task(calls(heavy, "heavy", 100, 0.004, ended, peak))
            group.create_task(calls(light, "light", 100, 0.004, ended, peak))
            await asyncio.sleep(0.03)
            assert (heavy.in_flight, light.in_flight) == (6, 3)

    run(main)


def test_cancelled_calls_give_their_place_back() -> None:
    async def main() -> None:
        lanes = Lanes(AdaptiveLimiter(1))
        a, b = lanes.lane(), lanes.lane()
        await a.acquire()
        waiting = [asyncio.create_task(lane.acquire()) for lane in (a, b, b)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.sleep(0)
        a.release()
        waiting[2].cancel()  # after the slot was handed over, before it ran
        async with asyncio.timeout(5):
            await waiting[0]
        assert (a.in_flight, b.in_flight, lanes.limiter.in_flight) == (1, 0, 1)
        a.release()
        assert lanes.limiter.in_flight == lanes.limiter.waiting == 0

    run(main)
