"""Quantiles without sorting everything are the quantiles."""

from __future__ import annotations

import random

import numpy as np
import pytest

from gym_mcp.analysis import fields
from gym_mcp.analysis.fields import quantiles
from gym_mcp.metrics.bootstrap import quantile

SHARES = (0.0, 0.05, 0.5, 0.95, 1.0)


def kinds(rng: random.Random) -> dict[str, list[float]]:
    return {
        "continuous": [rng.gauss(0, 1) for _ in range(60_000)],
        "skewed": [rng.lognormvariate(0, 3) for _ in range(60_000)],
        "counts": [float(rng.randrange(5)) for _ in range(60_000)],
        "sorted": [float(i) for i in range(60_000)],
        "alike": [2.0] * 60_000,
        "trapped": [0.0 if i % 6 == 0 else 1.0 + i for i in range(60_000)],
    }


@pytest.mark.parametrize("kind", list(kinds(random.Random(1))))
def test_large_columns(kind: str) -> None:
    values = kinds(random.Random(1))[kind]
    assert len(values) >= fields._MANY
    ordered = sorted(values)
    found = quantiles(values, SHARES)
    assert found == [quantile(ordered, p) for p in SHARES]
    assert found == pytest.approx(np.quantile(values, SHARES).tolist())


def test_small_columns() -> None:
    assert quantiles([3.0, 1.0, 2.0], (0.5, 0.75)) == [2.0, 2.5]
