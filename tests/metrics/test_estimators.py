"""Estimators against enumeration, scipy and published values."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from gym_mcp.metrics.estimators import mean_interval, pass_at_k, pass_hat_k, score_interval, wilson_interval

# -- pass@k and pass^k --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_counts_the_subsets(n: int) -> None:
    """Of all ways to pick k of the n rollouts: how often does one pass, how often do all."""
    for c, k in itertools.product(range(n + 1), range(1, n + 1)):
        outcomes = [True] * c + [False] * (n - c)
        subsets = list(itertools.combinations(outcomes, k))
        assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-15)
        assert pass_hat_k(n, c, k) == pytest.approx(sum(map(all, subsets)) / len(subsets), abs=1e-15)


def product_form(n: int, c: int, k: int) -> Fraction:
    """1 - prod (1 - k/i) over i from n-c+1 to n: the form in which Chen et al. compute it."""
    if n - c < k:
        return Fraction(1)
    return 1 - math.prod((1 - Fraction(k, i) for i in range(n - c + 1, n + 1)), start=Fraction(1))


@given(st.integers(1, 300), st.data())
def test_pass_at_k_agrees_with_its_product_form(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    assert pass_at_k(n, c, k) == pytest.approx(float(product_form(n, c, k)), rel=1e-12, abs=1e-15)
    assert pass_hat_k(n, c, k) == pytest.approx(1 - float(product_form(n, n - c, k)), rel=1e-9, abs=1e-12)


@given(st.integers(1, 60), st.data())
def test_more_tries_help_any_and_hurt_all(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    at = [pass_at_k(n, c, k) for k in range(1, n + 1)]
    hat = [pass_hat_k(n, c, k) for k in range(1, n + 1)]
    assert at == sorted(at) and hat == sorted(hat, reverse=True)
    assert at[0] == pytest.approx(c / n) and hat[0] == pytest.approx(c / n)
    assert all(0.0 <= x <= 1.0 for x in at + hat)
    assert at[-1] == float(c > 0) and hat[-1] == float(c == n)


def test_pass_at_k_is_unbiased() -> None:
    """Over all outcomes of n rollouts that pass with chance p, its mean is 1 - (1-p)^k exactly."""
    n, p = 6, Fraction(3, 10)
    for k in range(1, n + 1):
        weights = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
        at = sum(float(w) * pass_at_k(n, c, k) for c, w in enumerate(weights))
        hat = sum(float(w) * pass_hat_k(n, c, k) for c, w in enumerate(weights))
        assert at == pytest.approx(float(1 - (1 - p) ** k)) and hat == pytest.approx(float(p**k))


@pytest.mark.parametrize(
    ("n", "c", "at", "hat"),
    [
        (4, 2, {1: 0.5, 2: 0.833333, 4: 1.0}, {1: 0.5, 2: 0.166667, 4: 0.0}),
        (8, 3, {1: 0.375, 2: 0.642857, 4: 0.928571}, {1: 0.375, 2: 0.107143, 4: 0.0}),
        (10, 9, {1: 0.9, 2: 1.0, 4: 1.0}, {1: 0.9, 2: 0.8, 4: 0.6}),
        (5, 0, {1: 0.0, 2: 0.0, 4: 0.0}, {1: 0.0, 2: 0.0, 4: 0.0}),
    ],
)
def test_values_that_other_packages_print(n: int, c: int, at: dict[int, float], hat: dict[int, float]) -> None:
    assert {k: round(pass_at_k(n, c, k), 6) for k in at} == at
    assert {k: round(pass_hat_k(n, c, k), 6) for k in hat} == hat


# -- intervals ----------------------------------------------------------------------------------------------------

SCORES = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
CLUSTERS = "aabbccdd"


def close(found: tuple[float, float] | None, expected: tuple[float, float]) -> bool:
    return found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_mean_interval_of_single_scores() -> None:
    mean, error = statistics.mean(SCORES), stats.sem(SCORES)
    expected = stats.t.interval(0.95, len(SCORES) - 1, loc=mean, scale=error)
    assert error == pytest.approx(0.18298126367784995)
    assert expected == pytest.approx((0.19231806632026222, 1.0576819336797378))
    assert close(mean_interval(SCORES), expected)


def test_the_mean_interval_of_repeats_is_clustered_by_task() -> None:
    """Equal clusters: the standard error of cluster means is the CR1 estimate, C/(C-1) correction included."""
    by_task = [[x for x, c in zip(SCORES, CLUSTERS, strict=True) if c == task] for task in "abcd"]
    mean = statistics.mean(SCORES)
    meat = sum(sum(x - mean for x in scores) ** 2 for scores in by_task)
    robust = math.sqrt(meat / len(SCORES) ** 2 * 4 / 3)
    assert robust == pytest.approx(0.23935677693908453)
    expected = stats.t.interval(0.95, 3, loc=mean, scale=robust)
    assert expected == pytest.approx((-0.13674009041440538, 1.3867400904144054))
    means = [statistics.mean(scores) for scores in by_task]
    assert close(mean_interval(means), expected)
    assert mean_interval(means, bounds=(0.0, 1.0)) == (0.0, 1.0)


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_mean_interval_is_scipys(values: list[float], level: float) -> None:
    assume(max(values) - min(values) > 1e-6)
    expected = stats.t.interval(level, len(values) - 1, loc=statistics.fmean(values), scale=stats.sem(values))
    assert mean_interval(values, level=level) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_one_task_says_nothing_of_its_spread() -> None:
    assert mean_interval([0.5]) is None and mean_interval([]) is None


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [1, 2, 5, 8, 100, 3_000])
def test_the_wilson_interval_is_scipys(n: int, level: float) -> None:
    for c in {0, 1, n // 3, n // 2, n - 1, n}:
        expected = stats.binomtest(c, n).proportion_ci(level, method="wilson")
        assert wilson_interval(c, n, level=level) == pytest.approx(
            (expected.low, expected.high), rel=1e-9, abs=1e-12
        )


def test_the_published_wilson_interval() -> None:
    assert wilson_interval(5, 8) == pytest.approx((0.3057423946, 0.8631557142))


def test_certain_rates_get_wilson() -> None:
    assert score_interval([1.0, 0.0, 1.0]) == pytest.approx(wilson_interval(2, 3))
    assert score_interval([1.0]) == pytest.approx(wilson_interval(1, 1))
    assert score_interval([]) is None


def test_equal_means_are_no_certainty() -> None:
    low, high = score_interval([0.5] * 10) or (0.0, 0.0)
    assert (low, high) == pytest.approx(wilson_interval(5, 10)) and low < 0.5 < high
    noisy = [0.7, (0.7 + 0.7 + 0.7) / 3, 0.1 * 7]
    assert score_interval(noisy) == pytest.approx(wilson_interval(2.1, 3))
    assert score_interval([0.4]) == pytest.approx(wilson_interval(0.4, 1))


def test_other_bounds_scale() -> None:
    low, high = wilson_interval(2, 3)
    assert score_interval([10.0, -10.0, 10.0], (-10.0, 10.0)) == pytest.approx((20 * low - 10, 20 * high - 10))


def test_without_finite_bounds_there_is_only_t() -> None:
    unbounded = (-math.inf, math.inf)
    assert score_interval([3.0, 5.0], unbounded) == mean_interval([3.0, 5.0])
    assert score_interval([3.0], unbounded) is None
    assert score_interval([3.0, 3.0], (0.0, math.inf)) == (3.0, 3.0)


Bounded = st.tuples(st.floats(-100, 100), st.floats(0.1, 100)).map(lambda p: (p[0], p[0] + p[1]))


@settings(deadline=None)
@given(Bounded, st.lists(st.floats(0, 1), min_size=1, max_size=20), st.data())
def test_an_interval_lies_in_its_bounds_holds_the_mean_and_ignores_order(
    bounds: tuple[float, float], shares: list[float], data: st.DataObject
) -> None:
    values = [min(bounds[1], bounds[0] + share * (bounds[1] - bounds[0])) for share in shares]
    found = score_interval(values, bounds)
    if found is None:
        assert len(values) == 1
        return
    low, high = found
    assert bounds[0] <= low <= high <= bounds[1]
    slack = 1e-9 * (abs(bounds[0]) + abs(bounds[1]))
    assert low - slack <= statistics.fmean(values) <= high + slack
    assert score_interval(data.draw(st.permutations(values)), bounds) == found


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=20))
def test_more_confidence_is_wider(rates: list[float]) -> None:
    inner, outer = score_interval(rates, level=0.8), score_interval(rates, level=0.99)
    assert inner is not None and outer is not None
    assert outer[0] <= inner[0] <= inner[1] <= outer[1]


def covered(draw: Callable[[random.Random], tuple[list[float], float]], runs: int = 1_500) -> float:
    """Share of simulated runs whose interval holds the true mean."""
    rng, hits = random.Random(20260101), 0
    for _ in range(runs):
        rates, truth = draw(rng)
        low, high = score_interval(rates) or (math.nan, math.nan)
        hits += low <= truth <= high
    return hits / runs


@pytest.mark.parametrize(("tasks", "p"), [(10, 0.5), (50, 0.9), (200, 0.98)])
def test_the_interval_of_single_tries_covers_what_it_says(tasks: int, p: float) -> None:
    assert 0.92 <= covered(lambda rng: ([float(rng.random() < p) for _ in range(tasks)], p)) <= 0.99


@pytest.mark.parametrize("tasks", [8, 40])
def test_the_interval_of_repeats_covers_the_mean_over_new_tasks(tasks: int) -> None:
    """Tasks differ in difficulty and each is tried four times: the tries of a task are no new tasks."""

    def draw(rng: random.Random) -> tuple[list[float], float]:
        difficulties = [rng.betavariate(1.0, 1.0) for _ in range(tasks)]
        return [sum(rng.random() < d for _ in range(4)) / 4 for d in difficulties], 0.5

    assert 0.92 <= covered(draw) <= 0.98
