"""Agreement numbers against scikit-learn, statsmodels, krippendorff and scipy."""

from __future__ import annotations

import warnings
from typing import Any

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]
from sklearn import metrics  # type: ignore[import-untyped]
from statsmodels.stats.inter_rater import cohens_kappa  # type: ignore[import-untyped]

from gym_mcp.metrics.agreement import (
    Level,
    Weights,
    cohen_kappa,
    confusion,
    krippendorff_alpha,
    midranks,
    per_class,
    sign_test,
    spearman,
)

CLASSES = ["a", "b", "c", "d"]
ratings = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1, max_size=60)
tables = st.lists(st.lists(st.integers(0, 12), min_size=3, max_size=3), min_size=3, max_size=3)
units = st.lists(
    st.lists(st.one_of(st.none(), st.integers(0, 4)), min_size=3, max_size=3), min_size=2, max_size=30
)


@given(ratings)
def test_confusion_and_classes(pairs: list[tuple[str, str]]) -> None:
    truth, judged = [t for t, _ in pairs], [j for _, j in pairs]
    matrix = confusion(truth, judged, CLASSES)
    assert matrix == metrics.confusion_matrix(truth, judged, labels=CLASSES).tolist()
    theirs = metrics.precision_recall_fscore_support(truth, judged, labels=CLASSES, zero_division=0.0)
    for i, row in enumerate(per_class(matrix, CLASSES)):
        ours = [row["precision"] or 0.0, row["recall"] or 0.0, row["f1"] or 0.0, row["support"]]
        assert ours == pytest.approx([column[i] for column in theirs])


@given(ratings, st.sampled_from(["none", "linear", "quadratic"]))
def test_kappa(pairs: list[tuple[str, str]], weights: Weights) -> None:
    truth, judged = [t for t, _ in pairs], [j for _, j in pairs]
    ours = cohen_kappa(confusion(truth, judged, CLASSES), weights).value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = metrics.cohen_kappa_score(
            truth, judged, labels=CLASSES, weights=None if weights == "none" else weights
        )
    if np.isnan(theirs):
        assert ours is None
    else:
        assert ours == pytest.approx(theirs, abs=1e-9)


@given(tables, st.sampled_from(["none", "linear", "quadratic"]))
def test_the_standard_error_of_kappa(table: list[list[int]], weights: Weights) -> None:
    ours = cohen_kappa(table, weights)
    if ours.value is None or ours.interval is None:
        return
    kinds: dict[str, Any] = {"none": None, "linear": "linear", "quadratic": "quadratic"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = cohens_kappa(np.array(table), wt=kinds[weights])
    half = 1.959963984540054 * theirs.std_kappa
    assert ours.value == pytest.approx(theirs.kappa, abs=1e-9)
    low, high = max(-1.0, theirs.kappa - half), min(1.0, theirs.kappa + half)
    assert ours.interval == pytest.approx((low, high), abs=1e-7)


@given(units, st.sampled_from(["nominal", "ordinal", "interval"]))
def test_alpha(rows: list[list[int | None]], level: Level) -> None:
    ours = krippendorff_alpha(rows, level)
    data = np.array([[np.nan if v is None else float(v) for v in unit] for unit in rows]).T
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = krippendorff.alpha(reliability_data=data, level_of_measurement=level)
    except ValueError:  # one value only, or nothing to pair
        assert ours is None
        return
    if np.isnan(theirs):
        assert ours is None
    else:
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_alpha_of_krippendorffs_own_example() -> None:
    """Krippendorff 2011, section C: four observers, twelve units, missing data; nominal 0.743, interval 0.849."""
    coders = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    rows = [[coder[i] for coder in coders] for i in range(12)]
    assert krippendorff_alpha(rows) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(rows, "ordinal") == pytest.approx(0.815, abs=5e-4)
    assert krippendorff_alpha(rows, "interval") == pytest.approx(0.849, abs=5e-4)


@given(st.integers(0, 60), st.integers(0, 60))
def test_sign_test(a: int, b: int) -> None:
    n = a + b
    expected = stats.binomtest(a, n).pvalue if n else 1.0
    assert sign_test(a, n) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=40))
def test_spearman(pairs: list[tuple[int, int]]) -> None:
    x, y = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    assert midranks(x) == stats.rankdata(x).tolist()
    ours = spearman(x, y)
    if ours is None:
        assert len(set(x)) == 1 or len(set(y)) == 1
    else:
        assert ours == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)


def test_nothing_to_agree_on() -> None:
    assert cohen_kappa([[0, 0], [0, 0]]).value is None
    assert cohen_kappa([[5, 0], [0, 0]]).value is None
    assert cohen_kappa([[5, 0], [0, 5]]).interval is None and cohen_kappa([[5, 0], [0, 5]]).value == 1.0
    assert krippendorff_alpha([[1, None], [None, 2]]) is None
    assert krippendorff_alpha([]) is None
