"""Whether failures fall on one arm more than on the other: then leaving them out tilts the comparison."""

from __future__ import annotations

from math import fsum

from gym_mcp.analysis.pairing import Shared
from gym_mcp.analysis.read import Run
from gym_mcp.analysis.sheet import FAILED, MISSING, Sheet
from gym_mcp.metrics.signflip import sign_flip
from gym_mcp.types import JSONObject


def missingness(a: Run, b: Run, shared: Shared) -> JSONObject:
    """Failed and missing rollouts of two arms on their shared tasks, and whether their failure rates differ.

    `p`: sign-flip test of the tasks' failure shares. `informative` when p < 0.05 or the rates are 5 points apart.
    """
    arms = [(run.sheet, indexes) for run, indexes in zip((a, b), shared.indexes, strict=True)]
    one, other = (_shares(*arm) for arm in arms)
    p = sign_flip([y - x for x, y in zip(one, other, strict=True)]).p_mid
    rates = [fsum(shares) / len(shares) if shares else 0.0 for shares in (one, other)]
    counts = [_count(*arm, FAILED) for arm in arms]
    missing = [_count(*arm, MISSING) for arm in arms]
    return {
        "failed": counts,
        "missing": missing,
        "failure_rate": rates,
        "p": p,
        "informative": bool(any(counts)) and (p < 0.05 or abs(rates[0] - rates[1]) >= 0.05),
    }


def _shares(sheet: Sheet, indexes: list[int]) -> list[float]:
    """Share of failed rollouts of each task among those that ended."""
    n, shares = sheet.repeats, []
    for i in indexes:
        ended = n - sheet.state.count(MISSING, i * n, (i + 1) * n)
        shares.append(sheet.state.count(FAILED, i * n, (i + 1) * n) / ended if ended else 0.0)
    return shares


def _count(sheet: Sheet, indexes: list[int], state: int) -> int:
    n = sheet.repeats
    return sum(sheet.state.count(state, i * n, (i + 1) * n) for i in indexes)
