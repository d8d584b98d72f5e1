"""Text metrics against the packages that define them, and their edges."""

from __future__ import annotations

import difflib
import functools
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiers import text as metrics
from verifiers.text import (
    Overlap,
    exact_match,
    longest_common_subsequence,
    rouge_l,
    sequence_ratio,
    set_overlap,
    token_f1,
    word_error_rate,
)

WORDS = st.lists(st.sampled_from("river stone The a cloud 42 it's o'clock".split()), max_size=12).map(" ".join)


def test_sequence_ratio_has_difflibs_order_and_junk() -> None:
    a, b = "tide" * 60, "diet" * 60
    assert sequence_ratio(a, b) == difflib.SequenceMatcher(None, a, b).ratio()
    assert sequence_ratio(a, b) != sequence_ratio(a, b, autojunk=False)
    assert sequence_ratio("", "") == 1.0
    assert sequence_ratio("tide", "diet") != sequence_ratio("diet", "tide")


def test_set_overlap() -> None:
    assert set_overlap(["a", "b", "b"], ["b", "c"]) == Overlap(0.5, 0.5, 0.5)
    assert set_overlap([], []).f1 == 1.0
    assert set_overlap(["a"], []).f1 == set_overlap([], ["a"]).f1 == set_overlap(["a"], ["b"]).f1 == 0.0


def test_squad_scores() -> None:
    assert exact_match("The cat!", ["dog", "cat"]) == 1.0
    assert exact_match("the cat sat", ["cat"]) == 0.0
    assert token_f1("the cat sat", ["cat", "sat down"]) == pytest.approx(2 / 3)
    assert token_f1("a", ["the"]) == 1.0
    assert token_f1("x", []) == 0.0


def test_closed_answers() -> None:
    assert token_f1("yes it is", ["yes"]) > 0
    assert token_f1("yes it is", ["yes"], closed=True) == 0.0
    assert token_f1("yes", ["yes it is"], closed=True) == 0.0
    assert token_f1("Yes.", ["yes"], closed=True) == 1.0


def plain_lcs(a: str, b: str) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], before + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


@given(st.text("abc", max_size=30), st.text("abc", max_size=30))
def test_longest_common_subsequence(a: str, b: str) -> None:
    assert longest_common_subsequence(a, b) == plain_lcs(a, b)


@functools.cache
def rouge() -> Any:
    return pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])


@settings(deadline=None)  # the first import takes seconds
@given(WORDS, WORDS)
def test_rouge_l_equals_the_reference_package(a: str, b: str) -> None:
    reference = rouge().score(b, a)["rougeL"]
    own = rouge_l(a, b)
    assert (own.precision, own.recall, own.f1) == pytest.approx(
        (reference.precision, reference.recall, reference.fmeasure)
    )


def test_word_error_rate() -> None:
    pytest.importorskip("jiwer")
    assert word_error_rate("the cat sat", "the cat sat") == 0.0
    assert word_error_rate("the bat", "the cat sat") == pytest.approx(2 / 3)
    assert word_error_rate("The cat", "the cat") == 0.5
    assert word_error_rate("The cat", "the cat", fold=str.lower) == 0.0
    assert word_error_rate("", "one two") == 1.0
    with pytest.raises(ValueError, match="empty reference"):
        word_error_rate("a", " ")


def test_translation_scores() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    text, golds = "the small house by the lake", ["a small house at the lake", "the little house by the lake"]
    assert metrics.chrf(text, golds) == pytest.approx(sacrebleu.sentence_chrf(text, golds).score / 100)
    assert metrics.bleu(text, golds) == pytest.approx(sacrebleu.sentence_bleu(text, golds).score / 100)
    assert metrics.chrf(text, [text]) == 1.0
    assert metrics.bleu(text, [text]) == pytest.approx(1.0)
    corpus = [["one two three four five"], ["six seven eight nine ten"]]
    assert metrics.corpus_bleu([one for (one,) in corpus], corpus) == pytest.approx(1.0)
    assert metrics.corpus_chrf([one for (one,) in corpus], corpus) == 1.0


@given(st.text(), st.text())
def test_every_score_is_in_range(a: str, b: str) -> None:
    for score in (sequence_ratio(a, b), token_f1(a, [b]), rouge_l(a, b).f1, set_overlap(a, b).f1):
        assert 0.0 <= score <= 1.0
    assert token_f1(a, [a]) == 1.0
    assert rouge_l(a, a).f1 == float(bool(re.search("[a-z0-9]", a.lower())))
