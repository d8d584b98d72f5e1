"""A room lets in as many as it has place for, in their order, and whatever its size becomes."""

from __future__ import annotations

import asyncio

from gym_mcp.crew.room import Room
from tests.support import run


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_room_grows_shrinks_and_keeps_the_order() -> None:
    async def scenario() -> None:
        room, inside, doors = Room(2), list[int](), [asyncio.Event() for _ in range(8)]
        most = 0

        async def visit(number: int) -> None:
            nonlocal most
            async with room:
                inside.append(number)
                most = max(most, len(inside))
                await doors[number].wait()
                inside.remove(number)

        visits = [asyncio.create_task(visit(i)) for i in range(8)]
        await _settle()
        assert inside == [0, 1]
        room.resize(4)
        await _settle()
        assert inside == [0, 1, 2, 3]
        room.resize(1)
        for number in (0, 1, 2):
            doors[number].set()
        await _settle()
        assert inside == [3]  # the three that left made no place
        doors[3].set()
        await _settle()
        assert inside == [4] and most == 4
        visits[5].cancel()  # while it waits
        visits[4].cancel()  # while it is inside
        await _settle()
        assert inside[-1] == 6
        for door in doors:
            door.set()
        await asyncio.gather(*visits, return_exceptions=True)
        async with asyncio.timeout(1), room:
            assert not visits[7].cancelled()

    run(scenario)
