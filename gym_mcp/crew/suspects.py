"""Whose fault it is that a process died: what it ran is run again in halves, until one is alone with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from gym_mcp.crew.orders import Order


class Suspects:
    """Orders whose process died, in batches that a process runs with nothing else beside them.

    Among n orders a deadly one is found after about log2(n) deaths; no other is ever blamed. An order over which
    `limit` processes died while they had no other is guilty.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batches: deque[list[Order]] = deque()

    def __bool__(self) -> bool:
        return bool(self._batches)

    def died(self, orders: Sequence[Order]) -> Order | None:
        """Take what a dead process had not finished; the order that is guilty, if one is."""
        if len(orders) > 1:
            half = len(orders) // 2
            self._batches += [list(orders[:half]), list(orders[half:])]
        elif orders:
            (order,) = orders
            if len(order.repeats) > 1:
                self._batches += [[part] for part in _halves(order)]
            else:
                order.deaths += 1
                if order.deaths >= self._limit:
                    return order
                self._batches.append([order])
        return None

    def again(self, order: Order) -> None:
        """Have an order run that is nobody's suspect any more: what its group still lacks."""
        self._batches.append([order])

    def back(self, orders: list[Order]) -> None:
        """Take a batch back whose process was lost through nobody's fault."""
        self._batches.append(orders)

    def has(self, index: int) -> bool:
        """Whether an order of the task waits."""
        return any(order.index == index for batch in self._batches for order in batch)

    def next(self) -> list[Order] | None:
        """A batch for a process that has nothing else to do."""
        return self._batches.popleft() if self._batches else None


def _halves(order: Order) -> list[Order]:
    half = len(order.repeats) // 2
    parts = (order.repeats[:half], order.repeats[half:])
    losses = order.losses
    return [Order(order.index, order.offset, part, terminal=order.terminal, losses=losses) for part in parts]
