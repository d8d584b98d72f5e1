"""The split of the variance against its definition and by simulation."""

from __future__ import annotations

import random

import numpy as np
import pytest

from gym_mcp.metrics.scores import TaskScores
from gym_mcp.metrics.variance import split_variance


def test_equal_repeats_are_one_way_analysis_of_variance() -> None:
    rng = np.random.default_rng(1)
    data = rng.normal(size=(12, 5)) + rng.normal(size=(12, 1))
    split = split_variance(TaskScores.of(data.tolist(), (-10.0, 10.0)))
    within = data.var(axis=1, ddof=1).mean()
    between = data.mean(axis=1).var(ddof=1) - within / 5
    assert split is not None
    assert (split.within, split.between) == pytest.approx((within, between))
    assert split.icc == pytest.approx(between / (between + within))


def test_the_parts_are_unbiased_also_for_unequal_repeats() -> None:
    """Coins of different bias: E[p (1 - p)] within, Var(p) between. Beta(2, 2): 1/5 and 1/20."""
    rng, parts = random.Random(9), []
    for _ in range(400):
        tasks = []
        for i in range(20):
            p = rng.betavariate(2, 2)
            tasks.append([float(rng.random() < p) for _ in range(2 + i % 5)])
        split = split_variance(TaskScores.of(tasks))
        assert split is not None
        parts.append((split.within, split.between))
    within, between = np.mean(parts, axis=0)
    assert within == pytest.approx(0.2, abs=0.004) and between == pytest.approx(0.05, abs=0.004)


def test_what_cannot_be_split() -> None:
    assert split_variance(TaskScores.of([[1.0], [0.0], [1.0, 0.0]])) is None
    alike = split_variance(TaskScores.of([[1.0, 1.0], [1.0, 1.0]]))
    assert alike is not None and alike.icc is None
    luck = split_variance(TaskScores.of([[1.0, 0.0], [0.0, 1.0]]))
    assert luck is not None and luck.between < 0.0 and luck.icc == 0.0
