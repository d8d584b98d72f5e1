"""Quantiles of Student's t and of the beta distribution, so that the core needs no scipy."""

from __future__ import annotations

from functools import lru_cache
from math import exp, inf, lgamma, log, log1p
from statistics import NormalDist
from typing import Final

_TINY: Final = 1e-300
_EPSILON: Final = 1e-15


@lru_cache(maxsize=256)
def t_quantile(p: float, df: float) -> float:
    """The p-quantile of Student's t with `df` degrees of freedom, to about 1e-9 (bisection on the CDF)."""
    if df == inf:
        return NormalDist().inv_cdf(p)
    if p == 0.5:
        return 0.0
    if p < 0.5:
        return -t_quantile(1 - p, df)
    low, high = 0.0, 1.0
    while t_cdf(high, df) < p:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if t_cdf(middle, df) < p:
            low = middle
        else:
            high = middle
        if high - low < 1e-12 * high:
            break
    return (low + high) / 2


def t_cdf(t: float, df: float) -> float:
    """P(T <= t): 1 - I_x(df/2, 1/2)/2 with x = df/(df + t^2) for t >= 0 (Abramowitz & Stegun 26.7.1).

    Near 0 the complement 1/2 + I_y(1/2, df/2)/2 with y = 1 - x, where x would round to 1.
    """
    if t * t < df:
        half = incomplete_beta(0.5, df / 2, t * t / (df + t * t)) / 2
        return 0.5 + half if t >= 0 else 0.5 - half
    tail = incomplete_beta(df / 2, 0.5, df / (df + t * t)) / 2
    return 1 - tail if t >= 0 else tail


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularized incomplete beta I_x(a, b), by its continued fraction (Abramowitz & Stegun 26.5.8)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    return front / _fraction(a, b, x)


def beta_quantile(p: float, a: float, b: float) -> float:
    """The p-quantile of the beta distribution, to about 1e-14 (bisection on its distribution function)."""
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        if incomplete_beta(a, b, middle) < p:
            low = middle
        else:
            high = middle
        if high - low < 1e-15 * high:
            break
    return (low + high) / 2


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction's value by the modified Lentz method (Thompson & Barnett 1986)."""
    value = c = 1.0
    d = 0.0
    for i in range(1, 10_000):
        m = i // 2
        if i % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 + term * d
        d = 1.0 / (d if abs(d) > _TINY else _TINY)
        c = 1.0 + term / (c if abs(c) > _TINY else _TINY)
        value *= c * d
        if abs(c * d - 1.0) < _EPSILON:
            break
    return value
