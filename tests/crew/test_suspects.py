"""A deadly rollout is found by halving, and no other is ever blamed."""

from __future__ import annotations

from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gym_mcp.crew.orders import Order
from gym_mcp.crew.suspects import Suspects


def orders(count: int) -> list[Order]:
    return [Order(i, 0, [0]) for i in range(count)]


def settle(batch: list[Order], deadly: set[int], limit: int) -> tuple[list[int], list[int], int]:
    """(finished, guilty, deaths) of a batch over which a process died."""
    suspects, finished, guilty, deaths = Suspects(limit), [], [], 0
    current: list[Order] | None = batch
    while current is not None:
        if deadly & {order.index for order in current}:
            deaths += 1
            found = suspects.died(current)
            if found is not None:
                guilty.append(found.index)
        else:
            finished += [order.index for order in current]
        current = suspects.next()
    return finished, guilty, deaths


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), max_size=4))))
def test_exactly_the_deadly_ones_are_guilty(case: tuple[int, set[int]]) -> None:
    count, deadly = case
    finished, guilty, _ = settle(orders(count), deadly, 2)
    assert set(guilty) == deadly and len(guilty) == len(deadly)
    assert sorted(finished) == sorted(set(range(count)) - deadly)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_one_among_many_costs_few_deaths(limit: int) -> None:
    _, guilty, deaths = settle(orders(256), {77}, limit)
    assert guilty == [77] and deaths == log2(256) + limit


def test_a_group_is_halved_by_its_rollouts() -> None:
    suspects = Suspects(1)
    assert suspects.died([Order(4, 9, [0, 1, 2, 3], terminal=[5])]) is None
    halves = [suspects.next(), suspects.next()]
    assert [[(o.index, o.offset, o.repeats, o.terminal) for o in half or ()] for half in halves] == [
        [(4, 9, [0, 1], [5])],
        [(4, 9, [2, 3], [5])],
    ]


def test_who_dies_without_orders_blames_nobody() -> None:
    suspects = Suspects(1)
    assert suspects.died([]) is None and not suspects
