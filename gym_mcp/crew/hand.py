"""What a run knows of one of its worker processes: what it was told to run, and how far its rows reach."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from gym_mcp.crew.channel import Channel
from gym_mcp.crew.orders import Order
from gym_mcp.crew.process import WorkerProcess
from gym_mcp.types import JSONObject

_numbers = itertools.count()


class Hand:
    """One process at work. `share` rollouts at a time; `at`: where the last row that it told of ends."""

    def __init__(self, process: WorkerProcess, channel: Channel, place: int, share: int, at: int) -> None:
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
        return self.share - sum(len(order.repeats) or 1 for order in self.orders.values())

    def give(self, orders: Iterable[Order]) -> None:
        """Have it run `orders`."""
        messages: list[JSONObject] = []
        for order in orders:
            number = next(_numbers)
            self.orders[number] = order
            messages.append(order.wire(number))
            order.rows = []  # they may be large, and are in the journal of what waits
        if messages:
            self.channel.send({"orders": messages})
