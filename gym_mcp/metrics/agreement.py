"""Agreement between raters: kappa, alpha, confusion, ranks. The tests hold it to scikit-learn and others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import comb, fsum, sqrt
from statistics import NormalDist, fmean
from typing import Literal, TypeVar

from gym_mcp.types import JSONObject

T = TypeVar("T", bound=Hashable)
Weights = Literal["none", "linear", "quadratic"]
Level = Literal["nominal", "ordinal", "interval"]


def confusion(truth: Sequence[T], judged: Sequence[T], classes: Sequence[T]) -> list[list[int]]:
    """Counts: a row for each true class, a column for each judged one."""
    counts = Counter(zip(truth, judged, strict=True))
    return [[counts[t, j] for j in classes] for t in classes]


def per_class(matrix: Sequence[Sequence[int]], classes: Sequence[T]) -> list[JSONObject]:
    """Precision, recall, F1 and support of each class; None where nothing was judged, or is truly, of a class."""
    rows: list[JSONObject] = []
    for i, name in enumerate(classes):
        hit, support, judged = matrix[i][i], sum(matrix[i]), sum(row[i] for row in matrix)
        rows.append(
            {
                "class": name,
                "precision": hit / judged if judged else None,
                "recall": hit / support if support else None,
                "f1": 2 * hit / (support + judged) if support + judged else None,
                "support": support,
                "judged": judged,
            }
        )
    return rows


@dataclass(frozen=True, slots=True)
class Kappa:
    """A kappa with the interval of its asymptotic standard error; None where it is not defined."""

    value: float | None
    interval: tuple[float, float] | None = None


def cohen_kappa(matrix: Sequence[Sequence[int]], weights: Weights = "none", *, level: float = 0.95) -> Kappa:
    """Agreement of two raters beyond chance, from their confusion matrix, classes in order.

    Cohen 1960; weighted by 1 - |i-j|/(k-1), or its square's like, Cohen 1968; standard error of Fleiss, Cohen and
    Everitt 1969, equation 8 (unweighted: equation 13). Undefined when both always say the same single class.
    """
    n, k = sum(map(sum, matrix)), len(matrix)
    if not n:
        return Kappa(None)
    share = [[count / n for count in row] for row in matrix]
    rows = [fsum(row) for row in share]
    columns = [fsum(row[j] for row in share) for j in range(k)]
    weight = [[_weight(i, j, k, weights) for j in range(k)] for i in range(k)]
    cells = [(i, j) for i in range(k) for j in range(k)]
    observed = fsum(weight[i][j] * share[i][j] for i, j in cells)
    expected = fsum(weight[i][j] * rows[i] * columns[j] for i, j in cells)
    if 1.0 - expected < 1e-12:
        return Kappa(None)
    kappa = (observed - expected) / (1.0 - expected)
    by_row = [fsum(columns[j] * weight[i][j] for j in range(k)) for i in range(k)]
    by_column = [fsum(rows[i] * weight[i][j] for i in range(k)) for j in range(k)]
    spread = fsum(
        share[i][j] * (weight[i][j] * (1 - expected) - (by_row[i] + by_column[j]) * (1 - observed)) ** 2
        for i, j in cells
    )
    variance = spread - (observed * expected - 2 * expected + observed) ** 2
    if variance < 1e-15:  # perfect agreement: the approximation knows no uncertainty
        return Kappa(kappa)
    half = NormalDist().inv_cdf(0.5 + level / 2) * sqrt(variance / n) / (1 - expected) ** 2
    return Kappa(kappa, (max(-1.0, kappa - half), min(1.0, kappa + half)))


def _weight(i: int, j: int, k: int, weights: Weights) -> float:
    if weights == "none":
        return float(i == j)
    apart = abs(i - j) / (k - 1) if k > 1 else 0.0
    return 1.0 - (apart if weights == "linear" else apart * apart)


def krippendorff_alpha(units: Iterable[Sequence[float | None]], level: Level = "nominal") -> float | None:
    """Agreement of any number of raters with missing values: 1 - observed / expected disagreement.

    `units`: for each unit a value of each rater, or None. Krippendorff 2011, "Computing Krippendorff's
    alpha-reliability", with its difference functions. None when no unit has two values, or all are the same.
    """
    paired = [[v for v in unit if v is not None] for unit in units]
    paired = [unit for unit in paired if len(unit) > 1]
    total = Counter(v for unit in paired for v in unit)
    values = sorted(total)
    n = total.total()
    apart = _difference(values, [total[v] for v in values], level)
    place = {v: i for i, v in enumerate(values)}
    observed = 0.0
    for unit in paired:
        counts = Counter(place[v] for v in unit)
        observed += fsum(a * b * apart(i, j) for i, a in counts.items() for j, b in counts.items() if i != j) / (
            len(unit) - 1
        )
    expected = fsum(
        total[v] * total[w] * apart(i, j) for i, v in enumerate(values) for j, w in enumerate(values) if i != j
    )
    return None if n < 2 or not expected else 1.0 - (n - 1) * observed / expected


def _difference(values: Sequence[float], counts: Sequence[int], level: Level) -> Callable[[int, int], float]:
    """Squared difference of the i-th and the j-th value."""
    if level == "nominal":
        return lambda i, j: float(i != j)
    if level == "interval":
        return lambda i, j: (values[i] - values[j]) ** 2
    return lambda i, j: (sum(counts[min(i, j) : max(i, j) + 1]) - (counts[i] + counts[j]) / 2) ** 2


def sign_test(successes: int, n: int) -> float:
    """Two-sided exact binomial test against one half: the chance of a split at least as uneven."""
    if not n:
        return 1.0
    tail = min(successes, n - successes)
    return min(1.0, float(2 * sum(comb(n, i) for i in range(tail + 1)) / 2**n))


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Rank correlation with midranks for ties; None when one of the two does not vary."""
    a, b = midranks(x), midranks(y)
    mean = (len(x) + 1) / 2
    xx = fsum((r - mean) ** 2 for r in a)
    yy = fsum((r - mean) ** 2 for r in b)
    if not xx or not yy:
        return None
    return fsum((r - mean) * (s - mean) for r, s in zip(a, b, strict=True)) / sqrt(xx * yy)


def midranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for position in order[start:end]:
            ranks[position] = fmean((start + 1, end))
        start = end
    return ranks
