"""The paired permutation test: were the arms alike, each task's difference could as well have the other sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, comb, fsum, gcd, sqrt
from statistics import NormalDist
from typing import Final, Literal

from gym_mcp.types import JSONObject

_STEPS: Final = 20_000
_WORK: Final = 1e10
"""Bits times shifts that counting may take, about a second."""
_FINE: Final = 50
"""Steps that the average difference must span; with fewer (from some 400 tasks on) the normal limit is nearer."""
_DENOMINATORS: Final = 5_040


@dataclass(frozen=True, slots=True)
class SignFlip:
    """Two-sided p-values of the mean difference over all 2^T choices of signs.

    `p` counts sums as far from zero as the observed one in full and never falls below its level too often; `p_mid`
    counts those exactly as far by half (Lancaster 1961), because few tasks that differ make `p` timid. For single
    binary rollouts they are the exact and the mid-p McNemar test. `method`: `exact`; `grid` when the differences
    lie on none and were rounded to one of `_STEPS` steps, which moves p in its third digit; `normal` for
    hundreds of tasks, the limit that the count has.
    """

    p: float
    p_mid: float
    method: Literal["exact", "grid", "normal"]
    differing: int

    def as_json(self) -> JSONObject:
        return {"p": self.p, "p_mid": self.p_mid, "method": self.method, "tasks_that_differ": self.differing}


def sign_flip(differences: Sequence[float], *, steps: int | None = None) -> SignFlip:
    """Test `differences` (one a task). `steps`: a number that makes each of them whole, where it is known.

    All sums of signs are counted, by a product of polynomials held in one long integer (Pagano & Tritchler 1983).
    """
    moved = [d for d in differences if d != 0.0]
    if not moved or fsum(moved) == 0.0:
        return SignFlip(1.0, 1.0, "exact", len(moved))
    whole, exact = _on_grid(moved, steps)
    if whole is None:
        p = 2 * NormalDist().cdf(-abs(fsum(moved)) / sqrt(fsum(d * d for d in moved)))
        return SignFlip(p, p, "normal", len(moved))
    # A sum of signed steps is 2 * (steps taken with +) - total.
    middle = (sum(map(abs, whole)) + abs(sum(whole))) // 2
    counts = _sums([abs(x) for x in whole])
    beyond, at, ways = sum(counts[middle + 1 :]), counts[middle], 2 ** len(whole)
    if not sum(whole):
        return SignFlip(1.0, 1.0, "exact" if exact else "grid", len(moved))
    p, p_mid = min(1.0, 2 * (beyond + at) / ways), min(1.0, (2 * beyond + at) / ways)
    return SignFlip(p, p_mid, "exact" if exact else "grid", len(moved))


def _on_grid(differences: Sequence[float], steps: int | None) -> tuple[list[int] | None, bool]:
    """The differences as whole numbers of a step, and whether that is what they are; None when it is too much."""
    for grid in (steps, 1, 2, 4, 12, 60, 100, 720, 1_000, _DENOMINATORS):
        if grid is None:
            continue
        scaled = [d * grid for d in differences]
        whole = [round(x) for x in scaled]
        if all(abs(x - w) <= 1e-7 for x, w in zip(scaled, whole, strict=True)):
            divisor = gcd(*whole)
            whole = [w // divisor for w in whole]
            if all(whole) and sum(map(abs, whole)) * len(whole) ** 2 <= _WORK:
                return whole, True
    most = min(_STEPS, _WORK / len(differences) ** 2)
    if most < _FINE * len(differences):
        return None, False
    unit = fsum(map(abs, differences)) / most
    return [w for w in (round(d / unit) for d in differences) if w], False


def _sums(sizes: Sequence[int]) -> list[int]:
    """How many subsets of `sizes` have each sum from 0 to the total: the coefficients of prod(1 + x^size)."""
    width = ceil((len(sizes) + 1) / 8)
    product = 1
    for size in sizes:
        product += product << (8 * width * size)
    text = product.to_bytes(width * (sum(sizes) + 1), "little")
    return [int.from_bytes(text[i : i + width], "little") for i in range(0, len(text), width)]


def mcnemar(b: int, c: int) -> tuple[float, float]:
    """(exact p, mid-p) for `b` tasks that turned one way, `c` the other (McNemar 1947; Fagerland et al. 2013)."""
    n, least = b + c, min(b, c)
    if b == c:
        return 1.0, 1.0 if n == 0 else 1.0 - comb(n, b) / 2**n
    below = sum(comb(n, i) for i in range(least + 1))
    return min(1.0, 2 * below / 2**n), min(1.0, (2 * below - comb(n, least)) / 2**n)
