"""The estimators behind a run's table: pass@k, pass^k, and the intervals of `intervals.py`."""

from __future__ import annotations

from math import comb

from gym_mcp.metrics.intervals import mean_interval, score_interval, wilson_interval

__all__ = ["mean_interval", "pass_at_k", "pass_hat_k", "score_interval", "wilson_interval"]


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that at least one of `k` of the task's `n` rollouts passes, `c` having passed.

    Unbiased: 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, arXiv:2107.03374). Needs k <= n.
    """
    return 1.0 - comb(n - c, k) / comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Chance that all of `k` of the task's `n` rollouts pass: C(c, k) / C(n, k).

    The unbiased estimator of Yao et al. 2024, arXiv:2406.12045. Needs k <= n.
    """
    return comb(c, k) / comb(n, k)
