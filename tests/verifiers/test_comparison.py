"""Rankings from comparisons, against the likelihood that they claim to maximise."""

from __future__ import annotations

import itertools
from math import exp, log, log1p

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize  # type: ignore[import-untyped]

from verifiers.comparison import Match, bradley_terry, elo, pairs, relative, shares, win_rates

values = st.sampled_from([0.0, 0.5, 1.0, 0.25])
groups = st.integers(2, 6).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(
            st.builds(Match, st.integers(0, n - 1), st.integers(0, n - 1), values).filter(
                lambda m: m.first != m.second
            ),
            max_size=25,
        ),
    )
)


def test_schedules() -> None:
    assert pairs(4) == list(itertools.combinations(range(4), 2))
    assert pairs(4, "ring") == [(0, 1), (1, 2), (2, 3), (3, 0)]
    assert pairs(2, "ring") == [(0, 1)] and pairs(1, "ring") == pairs(1) == []
    assert pairs(4, "pivot", pivot=2) == [(2, 0), (2, 1), (2, 3)]
    with pytest.raises(ValueError, match="pivot 4 is none of 4"):
        pairs(4, "pivot", pivot=4)


def test_win_rates() -> None:
    assert win_rates(4, [Match(0, 1, 1.0), Match(2, 0, 0.5)]) == [0.75, 0.0, 0.5, None]


@given(groups, st.sampled_from([0.1, 1.0]))
def test_bradley_terry_maximises_its_likelihood(group: tuple[int, list[Match]], prior: float) -> None:
    n, matches = group

    def loss(s: np.ndarray) -> float:
        won = sum(
            m.value * log1p(exp(s[m.second] - s[m.first])) + (1 - m.value) * log1p(exp(s[m.first] - s[m.second]))
            for m in matches
        )
        return float(won + sum(prior / 2 * (log1p(exp(-x)) + log1p(exp(x))) for x in s))

    best = optimize.minimize(loss, np.zeros(n), method="BFGS", options={"gtol": 1e-9}).x
    ours = bradley_terry(n, matches, prior=prior)
    assert sum(ours) == pytest.approx(0.0, abs=1e-9)
    assert ours == pytest.approx(list(best - best.mean()), abs=2e-3)


def test_two_players_have_a_closed_form() -> None:
    """Without a prior, the odds are the wins: 3 to 1 here."""
    fit = bradley_terry(2, [Match(0, 1, 1.0)] * 3 + [Match(0, 1, 0.0)], prior=0.0)
    assert fit[0] - fit[1] == pytest.approx(log(3))
    assert elo(fit)[0] - elo(fit)[1] == pytest.approx(400 * log(3) / log(10))
    assert shares(fit) == pytest.approx([0.75, 0.25])


def test_a_clean_sweep_stays_finite() -> None:
    fit = bradley_terry(3, [Match(0, 1, 1.0), Match(0, 2, 1.0), Match(1, 2, 1.0)])
    assert fit[0] > fit[1] > fit[2] and abs(fit[0]) < 20
    assert all(0.0 < share < 1.0 for share in shares(fit))
    assert bradley_terry(3, []) == [0.0, 0.0, 0.0] and shares([1.0]) == [0.5]


@given(groups)
def test_the_order_of_the_matches_does_not_matter(group: tuple[int, list[Match]]) -> None:
    n, matches = group
    turned = [Match(m.second, m.first, 1.0 - m.value) for m in reversed(matches)]
    assert bradley_terry(n, matches) == pytest.approx(bradley_terry(n, turned), abs=1e-6)


def test_relative() -> None:
    assert relative([1.0, 0.0]) == [1.0, -1.0]
    assert relative([1.0, 0.0], scale=False) == [0.5, -0.5]
    assert relative([0.3, 0.3]) == [0.0, 0.0] and relative([]) == []
