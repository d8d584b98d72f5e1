"""Intervals against scipy and statsmodels, published values and simulated coverage."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import statsmodels.api as sm  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]

from gym_mcp.analysis.estimates import estimate, new_tasks
from gym_mcp.metrics.bootstrap import bootstrap_interval
from gym_mcp.metrics.intervals import (
    clopper_pearson_interval,
    mean_interval,
    new_tasks_interval,
    score_interval,
    these_tasks_interval,
    wilson_interval,
)
from gym_mcp.metrics.scores import Interval, TaskScores

SCORES = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
CLUSTERS = [SCORES[i : i + 2] for i in range(0, 8, 2)]
Binary = st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=6), min_size=1, max_size=25)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [1, 2, 8, 40, 1_000])
def test_clopper_pearson_is_scipys_and_statsmodels(n: int, level: float) -> None:
    for c in {0, 1, n // 3, n // 2, n - 1, n}:
        found = clopper_pearson_interval(c, n, level=level)
        exact = stats.binomtest(c, n).proportion_ci(level, method="exact")
        assert found == pytest.approx((exact.low, exact.high), rel=1e-9, abs=1e-12)
        assert found == pytest.approx(proportion_confint(c, n, 1 - level, method="beta"), rel=1e-9, abs=1e-12)


def test_what_an_interval_of_20_counts_can_cover() -> None:
    """The numbers of `docs/statistics.md`, by enumeration: no interval of counts is near 95 % for every truth."""

    def covers(ends: list[tuple[float, float]], p: float) -> float:
        return 100 * math.fsum(
            math.comb(20, c) * p**c * (1 - p) ** (20 - c) for c, (low, high) in enumerate(ends) if low <= p <= high
        )

    wilson, exact = ([f(c, 20) for c in range(21)] for f in (wilson_interval, clopper_pearson_interval))
    shown = {0.05: 92.5, 0.1: 95.7, 0.5: 95.9, 0.8: 95.6, 0.9: 95.7, 0.97: 97.9}
    assert {p: round(covers(wilson, p), 1) for p in shown} == shown
    ours, theirs = ([covers(ends, i / 1_000) for i in range(1, 1_000)] for ends in (wilson, exact))
    assert (round(float(np.mean(ours)), 1), round(min(ours), 1)) == (95.3, 85.2)
    assert (round(float(np.mean(theirs)), 1), min(theirs) >= 95) == (97.7, True)
    assert [round(100 * float(np.mean([93 <= x <= 97 for x in found]))) for found in (ours, theirs)] == [79, 30]


def test_published_values_of_a_proportion() -> None:
    assert clopper_pearson_interval(5, 8) == pytest.approx((0.2448632164, 0.9147665858))
    assert wilson_interval(5, 8) == pytest.approx(proportion_confint(5, 8, method="wilson"))


def test_published_values_of_clustered_scores() -> None:
    """The clustered t interval, and statsmodels' cluster-robust error with its correction."""
    means = TaskScores.of(CLUSTERS).means
    assert mean_interval(means) == pytest.approx((-0.13674009041440538, 1.3867400904144054))
    fit = sm.OLS(SCORES, np.ones(8)).fit(
        cov_type="cluster", cov_kwds={"groups": [i // 2 for i in range(8)], "use_correction": True}
    )
    # statsmodels corrects by C/(C-1) * (N-1)/(N-K); with one regressor the second factor is 1.
    assert fit.bse[0] == pytest.approx(0.23935677693908453)
    low, high = mean_interval(means) or (0.0, 0.0)
    assert (high - low) / 2 / stats.t.ppf(0.975, 3) == pytest.approx(fit.bse[0])
    inside = score_interval(means, repeats=2) or (0.0, 0.0)
    assert 0.0 < inside[0] < 0.625 < inside[1] < 1.0, "the headline stays inside its range"


def test_single_binary_rollouts_get_wilsons_interval_whatever_is_asked() -> None:
    for c, n in ((0, 5), (3, 5), (5, 5), (19, 20), (150, 300)):
        scores = TaskScores.of([[1.0]] * c + [[0.0]] * (n - c))
        found = new_tasks(scores)
        assert found is not None and (found.low, found.high) == pytest.approx(wilson_interval(c, n))
        given_ = estimate(scores)
        assert given_["wilson"]["low"] == found.low and given_["these_tasks"] is None
        assert given_["clopper_pearson"]["low"] <= found.low


def test_the_effective_number_is_that_of_the_design_effect() -> None:
    """With many tasks off the ends, the interval is Wilson's at n = m (1 - m) / Var(m), with t's quantile."""
    rng = random.Random(5)
    means = [sum(rng.random() < p for _ in range(8)) / 8 for p in (rng.betavariate(2, 2) for _ in range(400))]
    m, variance = float(np.mean(means)), float(np.var(means, ddof=1)) / 400
    n, t = m * (1 - m) / variance, stats.t.ppf(0.975, 399 / (1 - 1 / 8))
    centre, half = (m + t * t / (2 * n)) / (1 + t * t / n), t / (1 + t * t / n)
    half *= math.sqrt(m * (1 - m) / n + t * t / (4 * n * n))
    found = new_tasks_interval(means, (0.0, 1.0), repeats=8)
    assert found is not None and found.method == "Wilson, effective n of tasks"
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), rel=1e-4)


def test_these_tasks_leaves_the_difficulty_out() -> None:
    """Tasks that always pass or always fail leave no luck; the interval is the one of that many coins at most."""
    sure = TaskScores.of([[1.0] * 4] * 10 + [[0.0] * 4] * 10)
    here, new = these_tasks_interval(sure), new_tasks(sure)
    assert here is not None and new is not None
    assert here.high - here.low < new.high - new.low
    assert these_tasks_interval(TaskScores.of([[1.0], [0.0]])) is None
    assert these_tasks_interval(TaskScores.of([[1.0], [0.0], [1.0, 0.0]])) is None, "one task of three"
    assert these_tasks_interval(TaskScores.of([[1.0, 1.0], [0.0], [1.0, 0.0]])) is not None


def test_without_bounds_these_tasks_are_welchs_t() -> None:
    """Two tasks: the variance of the mean and Satterthwaite's degrees of freedom, as in scipy's Welch test."""
    a, b = [3.0, 5.0, 4.0, 7.0], [1.0, 2.0, 9.0]
    scores = TaskScores.of([a, b], (-math.inf, math.inf))
    found = these_tasks_interval(scores)
    welch = stats.ttest_ind(a, [-x for x in b], equal_var=False).confidence_interval()
    assert found is not None and (found.low, found.high) == pytest.approx((welch.low / 2, welch.high / 2))
    still = TaskScores.of([[1.0, 1.0]], (-math.inf, math.inf))
    assert these_tasks_interval(still) is None


@settings(deadline=None)
@given(Binary, st.randoms())
def test_intervals_hold_the_mean_and_ignore_every_order(tasks: list[list[float]], rng: random.Random) -> None:
    scores = TaskScores.of(tasks)
    shuffled = [rng.sample(task, len(task)) for task in rng.sample(tasks, len(tasks))]
    assert estimate(TaskScores.of(shuffled)) == estimate(scores)
    mean = scores.mean
    assert mean is not None
    for found in (new_tasks(scores), these_tasks_interval(scores)):
        if found is not None:
            assert -1e-12 <= found.low <= mean + 1e-12 and mean - 1e-12 <= found.high <= 1.0 + 1e-12
    wide, narrow = new_tasks(scores, level=0.99), new_tasks(scores, level=0.5)
    assert wide is not None and narrow is not None and wide.low <= narrow.low and narrow.high <= wide.high


@settings(deadline=None)
@given(Binary, st.floats(-50, 50), st.floats(0.5, 20))
def test_another_scale_changes_nothing_but_the_scale(tasks: list[list[float]], low: float, width: float) -> None:
    here = new_tasks(TaskScores.of(tasks))
    there = new_tasks(TaskScores.of([[low + width * x for x in t] for t in tasks], (low, low + width)))
    assert here is not None and there is not None
    expected = low + width * here.low, low + width * here.high
    assert (there.low, there.high) == pytest.approx(expected, abs=1e-6 * (abs(low) + width))


def test_the_bootstrap_is_near_t_where_t_is_right_and_always_the_same() -> None:
    rng = random.Random(3)
    means = [rng.betavariate(2, 2) for _ in range(200)]
    found = bootstrap_interval(means)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(mean_interval(means), abs=0.006)
    assert bootstrap_interval(rng.sample(means, 200)) == found
    assert bootstrap_interval([0.5] * 30) is None and bootstrap_interval([0.5]) is None


Draw = Callable[[random.Random], tuple[TaskScores, float, float]]


def covered(draw: Draw, here: bool, runs: int = 600) -> float:
    """Share of simulated runs whose interval holds the truth, for these tasks or for new ones."""
    rng, hits = random.Random(20260102), 0
    for _ in range(runs):
        scores, over_all, over_these = draw(rng)
        found = these_tasks_interval(scores) if here else new_tasks(scores)
        assert isinstance(found, Interval)
        hits += found.low <= (over_these if here else over_all) <= found.high
    return hits / runs


def beta_tasks(tasks: int, repeats: Callable[[int], int], a: float, b: float) -> Draw:
    def draw(rng: random.Random) -> tuple[TaskScores, float, float]:
        ease = [rng.betavariate(a, b) for _ in range(tasks)]
        scores = TaskScores()
        for i, p in enumerate(ease):
            scores.add_passes(repeats(i), sum(rng.random() < p for _ in range(repeats(i))))
        return scores, a / (a + b), sum(ease) / tasks

    return draw


@pytest.mark.parametrize("shape", [(0.5, 0.5), (2.0, 2.0), (9.0, 1.0), (29.1, 0.9), (0.5, 9.5)])
@pytest.mark.parametrize("repeats", [2, 5])
def test_coverage_of_both_intervals(shape: tuple[float, float], repeats: int) -> None:
    """Also where nearly all tasks are solved, where the plain t interval covers 45 to 90 %."""
    draw = beta_tasks(30, lambda _: repeats, *shape)
    assert 0.92 <= covered(draw, here=False) <= 0.985
    assert 0.92 <= covered(draw, here=True) <= 0.985


def test_coverage_with_unequal_repeats() -> None:
    draw = beta_tasks(40, lambda i: 1 + i % 4, 1.5, 1.0)
    assert 0.925 <= covered(draw, here=False) <= 0.98
    assert 0.925 <= covered(draw, here=True) <= 0.98
