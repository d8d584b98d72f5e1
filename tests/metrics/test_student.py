"""Student's t against scipy."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats  # type: ignore[import-untyped]

from gym_mcp.metrics.student import incomplete_beta, t_cdf, t_quantile

DF = [1, 2, 3, 4, 5, 7, 10, 29.5, 99, 1_000, 1e6]


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("p", [0.001, 0.025, 0.05, 0.3, 0.5, 0.6, 0.8, 0.95, 0.975, 0.995, 0.9999])
def test_quantiles(p: float, df: float) -> None:
    assert t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-8, abs=1e-12)


def test_a_quantile_of_infinite_degrees_is_the_normal_one() -> None:
    assert t_quantile(0.975, math.inf) == pytest.approx(stats.norm.ppf(0.975), rel=1e-12)


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("t", [-50.0, -2.0, -0.1, 0.0, 1e-3, 0.5, 1.96, 12.7, 1e4])
def test_the_distribution_function(t: float, df: float) -> None:
    assert t_cdf(t, df) == pytest.approx(stats.t.cdf(t, df), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("t", [-1e6, -1.0, -1e-8, 0.0, 1e-12, 1e-8, 0.3, 40.0])
def test_one_and_two_degrees_have_closed_forms(t: float) -> None:
    """Exact also near 0, where scipy 1.17 is off by 1e-9 for one degree of freedom."""
    assert t_cdf(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, rel=1e-9)
    if t > -100:  # further out the difference cancels
        assert t_cdf(t, 2) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)), rel=1e-9)


@settings(deadline=None, max_examples=200)
@given(st.floats(0.05, 500.0), st.floats(0.05, 500.0), st.floats(0.0, 1.0))
def test_the_incomplete_beta_function(a: float, b: float, x: float) -> None:
    assert incomplete_beta(a, b, x) == pytest.approx(special.betainc(a, b, x), rel=1e-8, abs=1e-10)


@settings(deadline=None)
@given(st.floats(0.001, 0.999), st.floats(0.5, 1e5))
def test_quantile_and_distribution_are_inverse_and_symmetric(p: float, df: float) -> None:
    assert t_cdf(t_quantile(p, df), df) == pytest.approx(p, abs=1e-9)
    assert t_quantile(1 - p, df) == pytest.approx(-t_quantile(p, df), rel=1e-7, abs=1e-9)
