"""Best, worst and majority of k against enumeration of all subsets."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.metrics import order
from gym_mcp.metrics.estimators import pass_at_k, pass_hat_k
from gym_mcp.metrics.order import Votes, best_of_k, majority_at_k, worst_of_k

Graded = st.lists(st.sampled_from([0.0, 0.2, 0.5, 1.0]) | st.floats(-5, 5), min_size=1, max_size=7)
Answered = st.lists(
    st.tuples(st.sampled_from(["A", "B", "C", None]), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=7
)


@pytest.mark.parametrize("n", range(1, 9))
def test_of_passes_they_are_pass_at_k_and_pass_hat_k(n: int) -> None:
    for c, k in itertools.product(range(n + 1), range(1, n + 1)):
        scores = [1.0] * c + [0.0] * (n - c)
        assert best_of_k(scores, k) == pytest.approx(pass_at_k(n, c, k), abs=1e-12)
        assert worst_of_k(scores, k) == pytest.approx(pass_hat_k(n, c, k), abs=1e-12)


@settings(deadline=None)
@given(Graded, st.randoms())
def test_best_and_worst_are_the_mean_over_all_subsets(scores: list[float], rng: random.Random) -> None:
    """Order does not count: the first k rollouts are nothing special."""
    for k in range(1, len(scores) + 1):
        subsets = list(itertools.combinations(scores, k))
        best, worst = (math.fsum(map(f, subsets)) / len(subsets) for f in (max, min))
        assert best_of_k(scores, k) == pytest.approx(best, abs=1e-12)
        assert worst_of_k(scores, k) == pytest.approx(worst, abs=1e-12)
        assert best_of_k(rng.sample(scores, len(scores)), k) == best_of_k(scores, k)
    curve = [best_of_k(scores, k) for k in range(1, len(scores) + 1)]
    assert all(x <= y + 1e-12 for x, y in itertools.pairwise(curve))


def majority_by_hand(pairs: Sequence[tuple[str | None, float]], k: int, blank: float) -> float:
    value = {}
    for answer in {a for a, _ in pairs if a is not None}:
        scores = [s for a, s in pairs if a == answer]
        value[answer] = math.fsum(scores) / len(scores)
    results = []
    for subset in itertools.combinations(pairs, k):
        found = Counter(a for a, _ in subset if a is not None)
        top = [value[a] for a, n in found.items() if n == max(found.values())]
        results.append(math.fsum(top) / len(top) if top else blank)
    return math.fsum(results) / len(results)


@settings(deadline=None, max_examples=200)
@given(Answered, st.sampled_from([0.0, -1.0]), st.randoms())
def test_the_majority_is_the_mean_over_all_subsets(
    pairs: list[tuple[str | None, float]], blank: float, rng: random.Random
) -> None:
    votes = Votes.of([a for a, _ in pairs], [s for _, s in pairs])
    mixed = rng.sample(pairs, len(pairs))
    assert Votes.of([a for a, _ in mixed], [s for _, s in mixed]) == votes
    for k in range(1, len(pairs) + 1):
        assert majority_at_k(votes, k, blank_score=blank) == pytest.approx(
            majority_by_hand(pairs, k, blank), abs=1e-12
        )


def test_a_wavering_judge_splits_no_vote() -> None:
    """Four A, two of them judged right, against three B judged wrong: A wins the vote with its mean score."""
    votes = Votes.of(["A"] * 4 + ["B"] * 3, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert majority_at_k(votes, 7) == 0.5 == votes.modal_score


def test_unanswered_rollouts_are_counted_as_such() -> None:
    votes = Votes.of([None] * 4, [0.0] * 4)
    assert (votes.blank, votes.entropy, votes.modal_score) == (4, None, None)
    assert [majority_at_k(votes, k) for k in (1, 4)] == [0.0, 0.0]
    assert majority_at_k(votes, 2, blank_score=-1.0) == -1.0


def test_ties_are_averaged_and_disagreement_is_measured() -> None:
    tied = Votes.of(["A", "B"], [1.0, 0.0])
    assert majority_at_k(tied, 2) == 0.5 == tied.modal_score
    assert tied.entropy == 1.0 and Votes.of(["A", "A"], [1.0, 1.0]).entropy == 0.0
    assert Votes.of(["A", "B", "C", "D"], [0.0] * 4).entropy == 2.0


def test_many_rollouts_are_drawn_near_the_exact_value(monkeypatch: pytest.MonkeyPatch) -> None:
    votes = Votes((12, 9, 5), (1.0, 0.25, 0.0), 4)
    exact = [majority_at_k(votes, k) for k in (1, 3, 8)]
    monkeypatch.setattr(order, "EXACT", 10)
    drawn = [majority_at_k(votes, k, seed="s") for k in (1, 3, 8)]
    assert drawn == pytest.approx(exact, abs=0.04) and drawn != exact
    assert drawn == [majority_at_k(votes, k, seed="s") for k in (1, 3, 8)], "the same draw each time"
