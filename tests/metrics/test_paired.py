"""Paired differences against scipy, statsmodels and enumeration."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar  # type: ignore[import-untyped]
from statsmodels.stats.multitest import multipletests  # type: ignore[import-untyped]
from statsmodels.stats.power import TTestPower  # type: ignore[import-untyped]

from gym_mcp.metrics import signflip
from gym_mcp.metrics.multiplicity import benjamini_hochberg, holm
from gym_mcp.metrics.paired import (
    Spread,
    detectable,
    paired_interval,
    paired_p,
    paired_t,
    power_of,
    repeats_needed,
    tasks_needed,
    these_tasks_difference,
)
from gym_mcp.metrics.scores import TaskScores
from gym_mcp.metrics.signflip import mcnemar, sign_flip

A = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
B = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
GAPS = [b - a for a, b in zip(A, B, strict=True)]


def test_published_values() -> None:
    spread = Spread.of(GAPS)
    assert spread.mean == -0.25 and spread.error == pytest.approx(0.16366341767699427)
    assert paired_t(GAPS) == pytest.approx(0.1704706607870538)
    assert mcnemar(2, 0)[0] == 0.5
    assert mcnemar(30, 12)[0] == pytest.approx(0.007915897334896727)
    assert tasks_needed(0.03, 0.2) == 1_745


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_statsmodels_and_the_sign_flip_of_single_rollouts(b: int, c: int) -> None:
    exact, mid = mcnemar(b, c)
    table = [[5, b], [c, 7]]
    assert exact == pytest.approx(sm_mcnemar(table, exact=True).pvalue, rel=1e-9)
    least = min(b, c)
    if b != c:
        assert mid == pytest.approx(2 * stats.binom.cdf(least, b + c, 0.5) - stats.binom.pmf(least, b + c, 0.5))
    flip = sign_flip([1.0] * b + [-1.0] * c + [0.0] * 5)
    assert flip.method == "exact" and flip.p == pytest.approx(exact, rel=1e-12)
    if b != c:
        assert flip.p_mid == pytest.approx(mid, rel=1e-12)


def flips_by_hand(gaps: list[float]) -> tuple[float, float]:
    observed = abs(math.fsum(gaps))
    sums = [
        abs(math.fsum(s * g for s, g in zip(signs, gaps, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(gaps))
    ]
    beyond = sum(s > observed + 1e-9 for s in sums)
    at = sum(abs(s - observed) <= 1e-9 for s in sums)
    return (beyond + at) / len(sums), (beyond + at / 2) / len(sums)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9), st.sampled_from([1, 4, 5, 16]), st.randoms())
def test_the_sign_flip_counts_all_signs(whole: list[int], repeats: int, rng: random.Random) -> None:
    gaps = [w / repeats for w in whole]
    found = sign_flip(gaps, steps=repeats)
    assert found.method == "exact"
    assert sign_flip(rng.sample(gaps, len(gaps)), steps=repeats) == found
    if sum(whole):
        assert (found.p, found.p_mid) == pytest.approx(flips_by_hand(gaps))
    else:
        assert found.p == found.p_mid == 1.0


def test_the_sign_flip_of_graded_differences_is_scipys_permutation_test() -> None:
    rng = np.random.default_rng(4)
    gaps = rng.normal(0.3, 1.0, 12)
    scipys = stats.permutation_test(
        (gaps,), lambda x, axis: np.sum(x, axis=axis), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    found = sign_flip(gaps.tolist())
    assert found.method == "grid" and found.p == pytest.approx(scipys, abs=2e-3)
    t, p = stats.ttest_1samp(gaps, 0.0)
    assert paired_t(gaps.tolist()) == pytest.approx(p) and t != 0
    low, high = stats.ttest_1samp(gaps, 0.0).confidence_interval()
    interval = paired_interval(gaps.tolist(), math.inf)
    assert interval is not None and (interval.low, interval.high) == pytest.approx((low, high))


def test_hundreds_of_tasks_take_the_normal_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(1)
    gaps = [rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0]) + rng.gauss(0.05, 0.01) for _ in range(380)]
    counted, halves = sign_flip(gaps), sign_flip([round(2 * g) / 2 for g in gaps])
    monkeypatch.setattr(signflip, "_WORK", 1.0)
    limit = sign_flip(gaps)
    assert [f.method for f in (limit, counted, halves)] == ["normal", "grid", "exact"]
    assert limit.p == pytest.approx(counted.p_mid, abs=2e-3)
    assert 0.005 < limit.p < 0.6


def test_arms_that_never_differ_are_no_proof_that_they_are_alike() -> None:
    found = paired_interval([0.0] * 30, 1.0)
    assert found is not None and found.low < -0.05 and found.high > 0.05
    assert paired_interval([0.0] * 30, math.inf) is None and paired_interval([0.1], 1.0) is None
    assert paired_p([0.0] * 30, sign_flip([0.0] * 30)) == 1.0


def test_differences_that_rounding_tells_apart_have_no_spread() -> None:
    """A third more on each task: 1/3 - 0 and 2/3 - 1/3 are not the same float."""
    gaps = [1 / 3, 2 / 3 - 1 / 3, 1 - 2 / 3, 1 / 3, 1 - 2 / 3]
    assert len(set(gaps)) > 1 and Spread.of(gaps).variance == 0.0
    assert detectable(Spread.of(gaps)) is None and paired_t(gaps) is None
    found = paired_interval(gaps, 1.0)
    assert found is not None and found.method == "Bonett-Price"


def test_few_tasks_rest_on_the_permutation_test() -> None:
    """t would find five tasks that agree nearly certain: 2^-4 is all that five signs can say."""
    gaps = [1.0, 1.0, 1.0, 1.0, 0.5]
    t = paired_t(gaps)
    assert t is not None and t < 0.001
    assert paired_p(gaps, sign_flip(gaps)) == 0.0625


def test_these_tasks_of_two_arms_is_newcombes_interval() -> None:
    """One task tried often is a plain proportion: Newcombe's (1998) method 10, but for t in place of z."""
    a, b = TaskScores.of([[1.0] * 56 + [0.0] * 14]), TaskScores.of([[1.0] * 48 + [0.0] * 32])
    found = these_tasks_difference(b, a)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-3)
    assert these_tasks_difference(TaskScores.of([[1.0]]), TaskScores.of([[1.0]])) is None


def test_power_is_statsmodels() -> None:
    for tasks in (20, 80, 300):
        for effect in (0.1, 0.3, 0.6):
            ours = power_of(effect, 1.0, tasks)
            assert ours == pytest.approx(TTestPower().power(effect, tasks, 0.05), abs=0.016)
    needed = tasks_needed(0.2, 1.0)
    assert needed == pytest.approx(TTestPower().solve_power(0.2, power=0.8, alpha=0.05), abs=3)
    smallest = detectable(Spread(100, 0.0, 1.0))
    assert smallest is not None and power_of(smallest, 1.0, 100) == pytest.approx(0.8, abs=0.01)


def test_repeats_help_as_far_as_luck_goes() -> None:
    coins = TaskScores.of([[1.0, 0.0]] * 50), TaskScores.of([[1.0, 0.0]] * 50)
    noise = 0.5 + 0.5
    spread = Spread(50, 0.1, noise / 2)
    needed = repeats_needed(0.1, spread, *coins)
    assert needed == math.ceil(noise * (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) ** 2 / (50 * 0.1**2))
    assert repeats_needed(0.01, Spread(50, 0.01, 5.0), *coins) == math.inf
    single = TaskScores.of([[1.0], [0.0]])
    assert repeats_needed(0.1, spread, single, single) is None and repeats_needed(0.0, spread, *coins) is None


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_p_values_are_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert benjamini_hochberg(p_values) == pytest.approx(multipletests(p_values, method="fdr_bh")[1])


@pytest.mark.parametrize(("tasks", "repeats"), [(40, 1), (25, 4)])
def test_the_size_of_the_paired_test(tasks: int, repeats: int) -> None:
    """Two arms that are alike: 5 % of runs may find a difference."""
    rng, found, runs = random.Random(20260103), 0, 800
    for _ in range(runs):
        ease = [rng.betavariate(1.0, 1.0) for _ in range(tasks)]
        gaps = [
            (sum(rng.random() < p for _ in range(repeats)) - sum(rng.random() < p for _ in range(repeats)))
            / repeats
            for p in ease
        ]
        found += paired_p(gaps, sign_flip(gaps, steps=repeats)) < 0.05
    assert 0.03 <= found / runs <= 0.07
