"""Runs side by side: who comes next, who is sent away, and that no place is lost."""

from __future__ import annotations

import asyncio
from typing import Any

from gym_mcp.coordinator.lanes import Lane, Lanes
from tests.support import run


class Part:
    """What a lane reads of a coordinator."""

    def __init__(self, expected: int, done: int = 0, concurrency: int = 64) -> None:
        self.tally: Any = self
        self.expected, self.done, self.concurrency = expected, done, concurrency
        self.lane: Any = None


async def go(lane: Lane, count: int, order: list[str], peak: list[int], lanes: Lanes) -> None:
    for _ in range(count):
        if not await lane.enter():
            order.append(f"{lane.name} sent away")
            return
        order.append(lane.name)
        peak.append(lanes.running)
        await asyncio.sleep(0)
        lane.leave()


async def played(slots: int, *parts: tuple[str, int, int], seed: int = 0) -> tuple[list[str], int]:
    """The order in which rollouts begin, and how many ran at a time, of lanes (name, expected, done)."""
    lanes = Lanes([name for name, _, _ in parts], slots, seed)
    order: list[str] = []
    peak: list[int] = []
    async with asyncio.TaskGroup() as group:
        for lane, (_, expected, done) in zip(lanes.lanes, parts, strict=True):
            coordinator: Any = Part(expected, done)
            lane.join(coordinator)
            for _ in range(min(slots, expected - done)):
                group.create_task(go(lane, 1 if slots > 1 else expected - done, order, peak, lanes))
            await asyncio.sleep(0)
    assert lanes.running == 0
    return order, max(peak)


def test_one_of_each_before_the_next_of_any() -> None:
    order, peak = run(lambda: played(1, ("a", 4, 0), ("b", 4, 0), ("c", 4, 0)))
    rounds = [order[i : i + 3] for i in range(0, 12, 3)]
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds) and peak == 1
    assert len({tuple(names) for names in rounds}) > 1, "the order is drawn anew"
    again, _ = run(lambda: played(1, ("a", 4, 0), ("b", 4, 0), ("c", 4, 0)))
    assert order == again, "from the seed"


def test_who_is_behind_catches_up_first() -> None:
    order, _ = run(lambda: played(1, ("a", 4, 3), ("b", 4, 0)))
    assert order[:3] == ["b", "b", "b"] and sorted(order[3:]) == ["a", "b"]


def test_a_lane_with_nothing_left_holds_nobody_up() -> None:
    assert run(lambda: played(2, ("a", 3, 3), ("b", 2, 0)))[0] == ["b", "b"]


def test_no_more_than_the_slots_at_a_time() -> None:
    assert run(lambda: played(3, ("a", 3, 0), ("b", 3, 0)))[1] == 3


def test_memory_that_bounds_one_lane_bounds_them_together() -> None:
    lanes = Lanes(["a", "b"], 64, 0)
    for lane, concurrency in zip(lanes.lanes, (7, 5), strict=True):
        coordinator: Any = Part(9, concurrency=concurrency)
        lane.join(coordinator)
        assert coordinator.lane is lane
    assert lanes.slots == 5


def test_nothing_begins_before_all_are_there_and_closing_sends_everybody_away() -> None:
    async def steps() -> None:
        lanes = Lanes(["a", "b"], 2, 0)
        first, second = lanes.lanes
        one: Any = Part(3)
        first.join(one)
        waiting = asyncio.create_task(first.enter())
        await asyncio.sleep(0.01)
        assert not waiting.done() and lanes.running == 0
        second.join(one)
        other = asyncio.create_task(second.enter())
        assert await waiting and await other and lanes.running == 2
        third = asyncio.create_task(first.enter())
        await asyncio.sleep(0)
        lanes.close()
        assert await third is False and await second.enter() is False
        first.leave()
        second.leave()
        assert lanes.running == 0

    run(steps)


def test_who_is_cancelled_leaves_no_place_taken() -> None:
    async def steps() -> None:
        lanes = Lanes(["a"], 1, 0)
        (lane,) = lanes.lanes
        one: Any = Part(9)
        lane.join(one)
        assert await lane.enter()
        waiting, admitted = asyncio.create_task(lane.enter()), asyncio.create_task(lane.enter())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        lane.leave()  # lets in the one that was not cancelled, which is cancelled before it wakes
        admitted.cancel()
        await asyncio.wait([waiting, admitted])
        assert waiting.cancelled() and admitted.cancelled() and lanes.running == 0

    run(steps)
