"""Slots: never more than the limit, owners in turn, and none lost when somebody gives up."""

from __future__ import annotations

import asyncio
import random

import pytest

from gym_mcp.slots import Slots
from tests.support import run


def test_one_that_asks_often_delays_others_by_one_turn() -> None:
    async def main() -> None:
        slots, served = Slots(1), list[str]()
        assert slots.enter_at_once() and not slots.enter_at_once()

        async def call(owner: str) -> None:
            await slots.enter(owner)
            served.append(owner)
            slots.leave()

        tasks = [asyncio.create_task(call(owner)) for owner in [*"a" * 1_000, *"bb", "c"]]
        await asyncio.sleep(0)
        assert slots.waiting == 1_003
        slots.leave()
        await asyncio.gather(*tasks)
        assert served[:6] == ["a", "b", "c", "a", "b", "a"] and len(served) == 1_003
        assert (slots.waiting, slots.taken) == (0, 0)

    run(main)


@pytest.mark.parametrize("seed", range(5))
def test_whoever_gives_up_takes_no_slot_along(seed: int) -> None:
    async def main() -> None:
        rng, slots, inside, most = random.Random(seed), Slots(3), 0, 0

        async def call(owner: str) -> None:
            nonlocal inside, most
            await slots.enter(owner)
            try:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
            finally:
                inside -= 1
                slots.leave()

        tasks = [asyncio.create_task(call(rng.choice("abc"))) for _ in range(200)]
        while not all(task.done() for task in tasks):
            rng.choice(tasks).cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert most == 3 and (slots.waiting, slots.taken) == (0, 0)
        assert all(slots.enter_at_once() for _ in range(3)) and not slots.enter_at_once()

    run(main)


def test_those_that_gave_up_are_forgotten() -> None:
    async def main() -> None:
        slots = Slots(1)
        assert slots.enter_at_once()
        for _ in range(50):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.0001):
                    await slots.enter("a")
        assert slots.waiting == 0

    run(main)
