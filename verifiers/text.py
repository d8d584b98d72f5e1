"""Metrics of texts, sets and sequences, each as its source defines it; all are in [0, 1] but error rates.

`word_error_rate` needs jiwer, `chrf` and `bleu` need sacrebleu: both come with the extra `text`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final

from verifiers.normalise import squad

_ROUGE_TOKEN: Final = re.compile(r"[a-z0-9]+")
_CLOSED: Final = frozenset({"yes", "no", "noanswer"})


@dataclass(frozen=True, slots=True)
class Overlap:
    """Precision, recall and their harmonic mean."""

    precision: float
    recall: float
    f1: float


def _overlap(common: int, found: int, gold: int) -> Overlap:
    if not common:
        return Overlap(0.0, 0.0, 0.0)
    precision, recall = common / found, common / gold
    return Overlap(precision, recall, 2 * precision * recall / (precision + recall))


def sequence_ratio(text: str, gold: str, *, autojunk: bool = True) -> float:
    """difflib's similarity: 2M/T, M characters in matching blocks of T in both texts.

    Not symmetric. `autojunk` ignores characters that make up over 1% of a gold text of 200 or more, as difflib
    does by default; published scores depend on it.
    """
    return SequenceMatcher(None, text, gold, autojunk=autojunk).ratio()


def set_overlap(found: Collection[Hashable], gold: Collection[Hashable]) -> Overlap:
    """Overlap of two sets; two empty sets are equal, one empty set shares nothing."""
    a, b = set(found), set(gold)
    if not a and not b:
        return Overlap(1.0, 1.0, 1.0)
    return _overlap(len(a & b), len(a), len(b))


def exact_match(text: str, golds: Iterable[str]) -> float:
    """SQuAD's EM: 1.0 if the normal form equals that of any gold text."""
    own = squad(text)
    return float(any(own == squad(gold) for gold in golds))


def token_f1(text: str, golds: Iterable[str], *, closed: bool = False) -> float:
    """SQuAD's F1: overlap of the bags of tokens of the normal forms; the best over the gold texts.

    Two texts without tokens are equal. `closed`, as in HotpotQA (Yang et al. 2018, arXiv:1809.09600): if either is
    `yes`, `no` or `noanswer`, they must be the same.
    """
    return max((_token_f1(squad(text), squad(gold), closed) for gold in golds), default=0.0)


def _token_f1(text: str, gold: str, closed: bool) -> float:
    if closed and text != gold and (text in _CLOSED or gold in _CLOSED):
        return 0.0
    a, b = text.split(), gold.split()
    if not a or not b:
        return float(a == b)
    return _overlap((Counter(a) & Counter(b)).total(), len(a), len(b)).f1


def longest_common_subsequence(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Its length, by bit-parallel dynamic programming (Hyyro 2004, on bit-parallel LCS-length).

    Time grows with len(b) times len(a) / 64.
    """
    places: dict[Hashable, int] = {}
    for i, token in enumerate(a):
        places[token] = places.get(token, 0) | 1 << i
    full = (1 << len(a)) - 1
    row = full
    for token in b:
        matched = row & places.get(token, 0)
        row = ((row + matched) | (row - matched)) & full
    return len(a) - row.bit_count()


def rouge_l(text: str, gold: str) -> Overlap:
    """ROUGE-L over lower-case runs of ASCII letters and digits, without stemming (Lin 2004, W04-1013)."""
    a, b = _ROUGE_TOKEN.findall(text.lower()), _ROUGE_TOKEN.findall(gold.lower())
    return _overlap(longest_common_subsequence(a, b), len(a), len(b))


def word_error_rate(text: str, gold: str, *, fold: Callable[[str], str] = str) -> float:
    """Word edits from `gold` to `text` per word of `gold`: 0.0 is perfect, more than 1.0 is possible.

    `fold` is applied to both first. Raises `ValueError` when no word of `gold` is left: there is no rate then.
    """
    gold, text = fold(gold), fold(text)
    if not gold.split():
        raise ValueError("there is no word error rate against an empty reference")
    try:
        import jiwer
    except ModuleNotFoundError:
        raise ModuleNotFoundError("word error rates need jiwer: pip install 'gym-mcp[text]'") from None
    return float(jiwer.wer(gold, text))


def chrf(text: str, golds: Sequence[str]) -> float:
    """Sentence chrF2 of sacrebleu, over 100 (Popovic 2015, W15-3049)."""
    return float(_sacrebleu().sentence_chrf(text, list(golds)).score) / 100


def bleu(text: str, golds: Sequence[str]) -> float:
    """Sentence BLEU of sacrebleu, over 100: effective order, exponential smoothing (Post 2018, W18-6319)."""
    return min(1.0, float(_sacrebleu().sentence_bleu(text, list(golds)).score) / 100)


def corpus_chrf(texts: Sequence[str], golds: Sequence[Sequence[str]]) -> float:
    """chrF2 of a corpus, over 100; `golds[i]` are the references of `texts[i]`, as many for each."""
    return (
        float(_sacrebleu().corpus_chrf(list(texts), [list(one) for one in zip(*golds, strict=True)]).score) / 100
    )


def corpus_bleu(texts: Sequence[str], golds: Sequence[Sequence[str]]) -> float:
    """BLEU of a corpus, over 100; `golds[i]` are the references of `texts[i]`, as many for each."""
    score = float(_sacrebleu().corpus_bleu(list(texts), [list(one) for one in zip(*golds, strict=True)]).score)
    return min(1.0, score / 100)


def _sacrebleu() -> Any:
    try:
        import sacrebleu
    except ModuleNotFoundError:
        raise ModuleNotFoundError("BLEU and chrF need sacrebleu: pip install 'gym-mcp[text]'") from None
    return sacrebleu
