"""The lock of an episode: readers share it, order holds, a cancelled waiter leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gym_mcp.turns import Turns
from tests.support import run


async def _settle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


class Room:
    """Tasks that go in by turns and stay until they are told to leave."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.inside: list[str] = []
        self.order: list[str] = []
        self.doors: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def enter(self, name: str) -> None:
        """A name in lower case reads, one in upper case wants to be alone."""
        self.doors[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(name))
        await _settle()

    async def _stay(self, name: str) -> None:
        if not name.islower():
            async with self.turns:
                await self._be_inside(name)
            return
        await self.turns.enter_shared()
        try:
            await self._be_inside(name)
        finally:
            self.turns.leave_shared()

    async def _be_inside(self, name: str) -> None:
        self.inside.append(name)
        self.order.append(name)
        assert len(self.inside) == 1 or all(n.islower() for n in self.inside)
        try:
            await self.doors[name].wait()
        finally:
            self.inside.remove(name)

    async def leave(self, name: str) -> None:
        self.doors[name].set()
        await _settle()

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        await _settle()


def test_readers_share_and_writers_are_alone_in_the_order_in_which_they_came() -> None:
    async def main() -> None:
        room = Room()
        for name in ("a", "b", "W", "c", "d", "X"):
            await room.enter(name)
        assert (room.inside, room.turns.readers) == (["a", "b"], 2)
        await room.leave("a")
        assert room.inside == ["b"]
        await room.leave("b")
        assert room.inside == ["W"]
        await room.leave("W")
        assert room.inside == ["c", "d"]
        await room.leave("c")
        await room.leave("d")
        assert room.inside == ["X"]
        await room.leave("X")
        assert not room.turns.locked()

    run(main)


def test_whoever_waits_behind_a_cancelled_one_goes_in() -> None:
    async def main() -> None:
        room = Room()
        for name in ("a", "W", "b"):
            await room.enter(name)
        await room.cancel("W")
        assert room.inside == ["a", "b"]
        await room.cancel("a")
        await room.leave("b")
        assert not room.turns.locked()

    run(main)


@pytest.mark.parametrize("second", ["b", "W"])
def test_a_waiter_that_is_let_in_and_cancelled_at_once_gives_its_turn_back(second: str) -> None:
    async def main() -> None:
        room = Room()
        for name in ("X", second, "Y"):
            await room.enter(name)
        room.doors["X"].set()
        await asyncio.sleep(0)  # X leaves, and `second` has its turn but has not woken up
        room.tasks[second].cancel()
        await _settle()
        assert room.inside == ["Y"]
        await room.leave("Y")
        assert not room.turns.locked() and second not in room.order

    run(main)


@given(st.lists(st.tuples(st.sampled_from(["read", "write", "leave", "cancel"]), st.integers(0, 9)), max_size=40))
def test_any_order_of_events_ends_with_an_empty_room(events: Sequence[tuple[str, int]]) -> None:
    async def main() -> None:
        room = Room()
        for number, (event, which) in enumerate(events):
            if event in ("read", "write"):
                await room.enter(f"r{number}" if event == "read" else f"W{number}")
            elif room.tasks:
                name = list(room.tasks)[which % len(room.tasks)]
                await (room.leave(name) if event == "leave" else room.cancel(name))
        for name in list(room.tasks):
            await room.leave(name)
        assert not room.inside and not room.turns.locked()
        assert all(task.done() for task in room.tasks.values())

    run(main)
