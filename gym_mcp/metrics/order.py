"""Best and worst of k rollouts by order statistics, majority votes by answer: means over all subsets of k."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb, fsum, log2
from random import Random
from typing import Final

EXACT: Final = 32
"""Rollouts of a task up to which majority votes are counted exactly; above, by drawing subsets."""
DRAWS: Final = 2_000


def best_of_k(scores: Sequence[float], k: int) -> float:
    """Expected maximum of `k` of the scores, drawn without replacement.

    The i-th smallest of n (from 1) is the maximum of C(i-1, k-1) of the C(n, k) subsets: the estimator of pass@k
    (Chen et al. 2021) for graded scores; for 0 and 1 it is pass@k.
    """
    return sum_weighted(sorted(scores), _weights(len(scores), k))


def worst_of_k(scores: Sequence[float], k: int) -> float:
    """Expected minimum of `k` of the scores; for 0 and 1 it is pass^k."""
    return sum_weighted(sorted(scores, reverse=True), _weights(len(scores), k))


def sum_weighted(values: Sequence[float], weights: Sequence[float]) -> float:
    return fsum(v * w for v, w in zip(values, weights, strict=True) if w)


@lru_cache(maxsize=4096)
def _weights(n: int, k: int) -> tuple[float, ...]:
    total = comb(n, k)
    return tuple(comb(i, k - 1) / total for i in range(n))


@dataclass(frozen=True, slots=True)
class Votes:
    """The answers of a task's rollouts: blank ones (None) have no vote but are drawn like the others."""

    counts: tuple[int, ...]
    scores: tuple[float, ...]
    """Mean score of the rollouts that gave an answer, so that a wavering judge splits no vote."""
    blank: int

    @classmethod
    def of(cls, answers: Sequence[Hashable | None], scores: Sequence[float]) -> Votes:
        """`answers[i]` was scored `scores[i]`. Answers are ordered by votes and score, not by appearance."""
        groups: dict[Hashable, list[float]] = {}
        for answer, score in zip(answers, scores, strict=True):
            if answer is not None:
                groups.setdefault(answer, []).append(score)
        ranked = sorted(((len(g), fsum(g) / len(g)) for g in groups.values()), reverse=True)
        return cls(
            tuple(n for n, _ in ranked), tuple(s for _, s in ranked), len(answers) - sum(map(len, groups.values()))
        )

    @property
    def n(self) -> int:
        return sum(self.counts) + self.blank

    @property
    def entropy(self) -> float | None:
        """Bits of disagreement among the answers given: 0 when all agree; None without an answer."""
        total = sum(self.counts)
        if not total:
            return None
        return max(0.0, -fsum(c / total * log2(c / total) for c in self.counts))

    @property
    def modal_score(self) -> float | None:
        """Mean score of the most frequent answer, ties averaged; None without an answer."""
        if not self.counts:
            return None
        top = [s for c, s in zip(self.counts, self.scores, strict=True) if c == self.counts[0]]
        return fsum(top) / len(top)


def majority_at_k(votes: Votes, k: int, *, blank_score: float = 0.0, seed: str = "") -> float:
    """Expected score of the most frequent answer among `k` of the rollouts (self-consistency, Wang et al. 2022).

    Ties are averaged; a subset without an answer scores `blank_score`. Exact over all subsets up to `EXACT`
    rollouts, else the mean over `DRAWS` subsets drawn with `seed`.
    """
    if votes.n > EXACT:
        return _drawn(votes, k, blank_score, seed)
    by_count = winning_chances(votes.counts, votes.blank)[k]
    chances = [by_count[c] for c in votes.counts]
    nobody = comb(votes.blank, k) / comb(votes.n, k)
    return fsum([*(p * s for p, s in zip(chances, votes.scores, strict=True)), nobody * blank_score])


@lru_cache(maxsize=65_536)
def winning_chances(counts: tuple[int, ...], blank: int) -> tuple[dict[int, float], ...]:
    """For each k from 0: the chance that a given answer with c votes among all wins a draw of k, by c.

    A win among t tied answers counts 1/t. Subsets are counted by the product, over the other answers, of the ways
    to draw at most as many of each, those with exactly as many kept apart as ties.
    """
    n = sum(counts) + blank
    chances: list[dict[int, float]] = [dict.fromkeys(counts, 0.0) for _ in range(n + 1)]
    for c in set(counts):
        others = list(counts)
        others.remove(c)
        for votes in range(1, c + 1):
            ways = _ways(tuple(sorted(others)), votes, blank)
            for (drawn, ties), number in ways.items():
                k = drawn + votes
                chances[k][c] += number * comb(c, votes) / ((1 + ties) * comb(n, k))
    return tuple(chances)


def _ways(others: tuple[int, ...], most: int, blank: int) -> Counter[tuple[int, int]]:
    """Ways to draw from the other answers and the blank ones, at most `most` of each answer: by (drawn, ties)."""
    ways: Counter[tuple[int, int]] = Counter({(i, 0): comb(blank, i) for i in range(blank + 1)})
    for count in others:
        longer: Counter[tuple[int, int]] = Counter()
        for (drawn, ties), number in ways.items():
            for i in range(min(count, most) + 1):
                longer[drawn + i, ties + (i == most)] += number * comb(count, i)
        ways = longer
    return ways


def _drawn(votes: Votes, k: int, blank_score: float, seed: str) -> float:
    rng = Random(f"{seed}/{k}")
    pool = [i for i, c in enumerate(votes.counts) for _ in range(c)] + [-1] * votes.blank
    results = []
    for _ in range(DRAWS):
        found = Counter(i for i in rng.sample(pool, k) if i >= 0)
        most = max(found.values(), default=0)
        top = [votes.scores[i] for i, c in found.items() if c == most]
        results.append(fsum(top) / len(top) if top else blank_score)
    return fsum(results) / DRAWS
