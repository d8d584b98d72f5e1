"""Several runs at one endpoint: whose turn it is, and that no slot is lost."""

from __future__ import annotations

import asyncio
from collections import deque

from gym_mcp.models.lanes import Lane, Lanes
from gym_mcp.models.limiter import AdaptiveLimiter
from tests.support import run


class Calls:
    """Calls of one run, each held until it is let go."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.ended = 0
        self._ends: deque[asyncio.Event] = deque()
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, count: int) -> None:
        self._tasks += [asyncio.create_task(self._one()) for _ in range(count)]

    async def _one(self) -> None:
        await self.lane.acquire()
        end = asyncio.Event()
        self._ends.append(end)
        await end.wait()
        self.lane.release()
        self.ended += 1

    async def end(self, count: int = 1) -> None:
        """Let the oldest go."""
        for _ in range(count):
            self._ends.popleft().set()
            for _ in range(4):  # until whoever follows has begun
                await asyncio.sleep(0)

    async def all(self) -> None:
        async with asyncio.timeout(5):
            while self._ends or self.lane.line:
                await self.end(min(1, len(self._ends)))
                await asyncio.sleep(0)
            await asyncio.gather(*self._tasks)


def lanes_of(limit: int, *weights: float) -> list[Calls]:
    lanes = Lanes(AdaptiveLimiter(limit))
    return [Calls(lanes.lane(weight)) for weight in weights]


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_a_thousand_waiting_calls_of_one_run_do_not_keep_anothers_waiting() -> None:
    async def main() -> None:
        crowd, single = lanes_of(10, 1.0, 1.0)
        crowd.begin(1_000)
        await settle()
        for _ in range(5):
            single.begin(1)
            await settle()
            assert single.lane.in_flight == 0
            await crowd.end()
            assert single.lane.in_flight == 1, "the next place is its"
            await single.end()
        assert single.ended == 5 and crowd.ended == 5
        await crowd.all()
        assert crowd.lane.limiter.in_flight == crowd.lane.limiter.waiting == crowd.lane.waiting == 0

    run(main)


def test_a_run_of_long_answers_holds_its_part_of_the_limit() -> None:
    async def main() -> None:
        fast, slow = lanes_of(10, 1.0, 1.0)
        fast.begin(40)
        slow.begin(20)
        await settle()
        assert (fast.lane.in_flight, slow.lane.in_flight) == (10, 0)
        await fast.end(30)
        assert (fast.lane.in_flight, slow.lane.in_flight) == (5, 5)
        await fast.all()
        assert slow.lane.in_flight == 10, "what the other does not use any more"
        await slow.all()

    run(main)


def test_weights() -> None:
    async def main() -> None:
        heavy, light = lanes_of(9, 2.0, 1.0)
        heavy.begin(30)
        light.begin(30)
        await settle()
        await heavy.end(12)
        assert (heavy.lane.in_flight, light.lane.in_flight) == (6, 3)
        await light.end(5)
        assert (heavy.lane.in_flight, light.lane.in_flight) == (6, 3)
        await heavy.all()
        await light.all()

    run(main)


def test_a_single_place_goes_round() -> None:
    async def main() -> None:
        limiter = Lanes(AdaptiveLimiter(1))
        order: list[str] = []

        async def call(lane: Lane, name: str) -> None:
            await lane.acquire()
            order.append(name)
            await asyncio.sleep(0)
            lane.release()

        a, b = limiter.lane(), limiter.lane()
        async with asyncio.TaskGroup() as group:
            for lane, name in ((a, "a"), (b, "b")):
                for _ in range(4):
                    group.create_task(call(lane, name))
        assert 2 <= order[:6].count("b") <= 3, order

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
