"""Scores of several answers from comparisons of two: who meets whom, win rates, Bradley-Terry.

A comparison's value is a number in [0, 1]: 1 when the first of the two is better, 0 when the second is, 0.5 a tie.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, log
from statistics import fmean
from typing import Final, Literal

Schedule = Literal["all", "ring", "pivot"]
_STEPS: Final = 10_000
_CLOSE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Match:
    """Two members of a group, by index, and what the first one got of the point."""

    first: int
    second: int
    value: float


def pairs(n: int, schedule: Schedule = "all", *, pivot: int = 0) -> list[tuple[int, int]]:
    """Who meets whom among `n`: all n(n-1)/2 pairs, neighbours on a ring, or each of the others and `pivot`."""
    if schedule == "all":
        return list(combinations(range(n), 2))
    if schedule == "ring":
        return [(i, (i + 1) % n) for i in range(n)] if n > 2 else list(combinations(range(n), 2))
    if not 0 <= pivot < n:
        raise ValueError(f"pivot {pivot} is none of {n}")
    return [(pivot, i) for i in range(n) if i != pivot]


def win_rates(n: int, matches: Iterable[Match]) -> list[float | None]:
    """Each one's mean value over its matches (a tie is half a win); None for one that met nobody."""
    points: list[list[float]] = [[] for _ in range(n)]
    for match in matches:
        points[match.first].append(match.value)
        points[match.second].append(1.0 - match.value)
    return [fmean(mine) if mine else None for mine in points]


def bradley_terry(n: int, matches: Iterable[Match], *, prior: float = 0.1) -> list[float]:
    """Log strengths s with mean 0 such that i beats j with chance 1 / (1 + exp(s_j - s_i)).

    Bradley and Terry 1952, fitted with Hunter's MM steps (2004, Annals of Statistics 32); a tie is half a win for
    each. `prior` is how many drawn matches everybody has against a member of strength 0 besides: it keeps the
    strengths of those who always win or lose finite, and ties parts of a group together that never met. With 0,
    the fit may not exist.
    """
    wins = [prior / 2] * n
    met: dict[tuple[int, int], float] = {}
    for match in matches:
        wins[match.first] += match.value
        wins[match.second] += 1.0 - match.value
        pair = (min(match.first, match.second), max(match.first, match.second))
        met[pair] = met.get(pair, 0.0) + 1.0
    strength = [1.0] * n
    for _ in range(_STEPS):
        weight = [prior / (s + 1.0) for s in strength]
        for (i, j), count in met.items():
            share = count / (strength[i] + strength[j])
            weight[i] += share
            weight[j] += share
        new = [w / d if d else s for w, d, s in zip(wins, weight, strength, strict=True)]
        moved = max((abs(a - b) / (a + b) for a, b in zip(new, strength, strict=True) if a + b), default=0.0)
        strength = new
        if moved < _CLOSE:
            break
    logs = [log(max(s, 1e-300)) for s in strength]
    centre = fmean(logs) if logs else 0.0
    return [s - centre for s in logs]


def shares(strengths: Sequence[float]) -> list[float]:
    """Chance to beat an average other member: the mean of 1 / (1 + exp(s_j - s_i)) over j; 0.5 for one alone."""
    return [
        fmean(1.0 / (1.0 + exp(min(700.0, other - own))) for j, other in enumerate(strengths) if j != i)
        if len(strengths) > 1
        else 0.5
        for i, own in enumerate(strengths)
    ]


def elo(strengths: Iterable[float], *, mean: float = 1000.0) -> list[float]:
    """Log strengths on Elo's scale: 400 points are odds of 10 to 1."""
    return [mean + 400.0 * s / log(10.0) for s in strengths]


def relative(rewards: Sequence[float], *, scale: bool = True) -> list[float]:
    """Each reward less the group's mean, divided by its standard deviation (population) when `scale` and not 0.

    The group-relative advantage of Shao et al. 2024 (arXiv:2402.03300, section 4.1); unscaled as in Liu et al.
    2025 (arXiv:2503.20783).
    """
    if not rewards:
        return []
    centre = fmean(rewards)
    spread = fmean((r - centre) ** 2 for r in rewards) ** 0.5
    divisor = spread if scale and spread > 1e-12 else 1.0
    return [(r - centre) / divisor for r in rewards]
