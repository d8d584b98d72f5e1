"""What is told of the loop's lag: quantiles to 10 %, merged over processes."""

from __future__ import annotations

import asyncio
import random
import time
from statistics import quantiles

import pytest

from gym_mcp.lag import LagProbe, Lags
from tests.support import run


def test_nothing_was_looked_at() -> None:
    assert Lags().quantile(0.99) is None and Lags().as_json() == {}


def test_quantiles_are_right_to_ten_percent() -> None:
    rng = random.Random(1)
    seconds = [rng.lognormvariate(-6, 1.5) for _ in range(20_000)]
    lags = Lags()
    for value in seconds:
        lags.add(value)
    cuts = quantiles(seconds, n=100)
    for q in (0.5, 0.9, 0.99):
        found = lags.quantile(q)
        assert found is not None and found == pytest.approx(max(cuts[int(q * 100) - 1], 1e-4), rel=0.11)
    assert lags.greatest == max(seconds)


def test_counts_of_several_processes_add_up() -> None:
    whole, one, other = Lags(), Lags(), Lags()
    for i in range(1_000):
        (one if i % 3 else other).add(i / 1_000)
        whole.add(i / 1_000)
    both = Lags()
    for part in (one, other):
        both.merge(part.take(), part.greatest)
    assert both.as_json() == whole.as_json() and one.quantile(0.5) is None


def test_a_loop_that_stands_still_is_noticed() -> None:
    async def main() -> Lags:
        lags = Lags()
        probe = LagProbe(lags)
        await asyncio.sleep(0.1)
        time.sleep(0.3)  # noqa: ASYNC251 - the loop stands still
        await asyncio.sleep(0.1)
        probe.stop()
        return lags

    lags = run(main)
    assert 0.2 < lags.greatest < 5 and (lags.quantile(0.5) or 0) < 0.1
