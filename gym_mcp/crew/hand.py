"""What a run knows of one of its worker processes: what it was told to run, and how far its rows reach."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Protocol

from gym_mcp.crew.channel import Channel
from gym_mcp.crew.orders import Order
from gym_mcp.types import JSONObject

_numbers = itertools.count()


class Process(Protocol):
    """A process that runs rollouts, on this machine or another."""

    @property
    def pid(self) -> int: ...

    def kill(self) -> None: ...

    async def ended(self) -> int | None:
        """Its exit status, negative for a signal; None when it is lost, with its machine or the way to it."""
        ...


class Hand:
    """One process at work. `share` rollouts at a time; `at`: where the last row that it told of ends."""

    def __init__(self, process: Process, channel: Channel, place: int, share: int, at: int) -> None:
        self.process = process
        self.channel = channel
        self.place = place
        self.share = share
        self.report: JSONObject | None = None
        """What it does, as it told last."""
        self.at = at
        self.ready = self.gone = False
        self.confined = False
        """Whether what it runs is suspected of having killed a process: nothing else runs beside it."""
        self.waiting = 0
        """Of what it runs, rollouts that wait for room in the environment, as it said last."""
        self.orders: dict[int, Order] = {}

    @property
    def room(self) -> int:
        """Rollouts that it can take."""
        return self.share - sum(order.size for order in self.orders.values())

    def give(self, orders: Iterable[Order]) -> None:
        """Have it run `orders`."""
        messages: list[JSONObject] = []
        for order in orders:
            number = next(_numbers)
            self.orders[number] = order
            messages.append(order.wire(number))
            order.rows, order.task = [], b""  # they may be large, and are on disk
        if messages:
            self.channel.send({"orders": messages})
