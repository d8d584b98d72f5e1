"""P-values of several comparisons, adjusted so that looking often finds nothing by luck."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjustment: the chance of any false finding stays below the level."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = least
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini & Hochberg's (1995) adjustment: the share of false findings among all stays below the level."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i], reverse=True)
    adjusted, most = [0.0] * len(p_values), 1.0
    for rank, i in enumerate(order):
        most = min(most, p_values[i] * len(p_values) / (len(p_values) - rank))
        adjusted[i] = most
    return adjusted
