"""Further constraints on counts and on the shape of paragraphs, by the ids of training sets."""

from __future__ import annotations

import re
from typing import Final

from verifiers.instructions.lengths import paragraphs_between_dividers
from verifiers.instructions.registry import Result, checker
from verifiers.instructions.text import divided, occurrences, related, sentences, tokens

_LOWERCASE_WORD: Final = re.compile(r"\b[a-z]+\b")
_LETTER: Final = re.compile(r"[a-zA-Z]")


@checker("paragraphs:paragraphs")
def two_divided_paragraphs(text: str) -> Result:
    """Two paragraphs with the markdown divider `***` between them."""
    return paragraphs_between_dividers(text, 2)


@checker("paragraphs:paragraphs2")
def two_separated_paragraphs(text: str) -> Result:
    """Two paragraphs with a blank line between them."""
    count = sum(1 for part in text.strip().split("\n\n") if part.strip())
    return Result(count == 2, "" if count == 2 else f"{count} paragraphs, not 2")


@checker("count:lowercase_counting")
def lowercase_counting(text: str, *, N: int) -> Result:
    """At most `N` words of lower-case letters only."""
    count = len(_LOWERCASE_WORD.findall(text))
    return Result(count <= N, "" if count <= N else f"{count} lower-case words, at most {N} allowed")


@checker("letters:letter_counting")
def letter_counting(text: str, *, N: int, relation: str) -> Result:
    """`relation` `N` letters of the Latin alphabet."""
    count = len(_LETTER.findall(text))
    return Result(related(count, relation, N), f"{count} letters")


@checker("count:count_unique")
def count_unique(text: str) -> Result:
    """No word occurs twice; case counts."""
    found = tokens(text)
    return Result(len(set(found)) == len(found), f"{len(found) - len(set(found))} repetitions")


@checker("count:count_increment_word")
def count_increment_word(text: str, *, keyword1: str, keyword2: str) -> Result:
    """One keyword once and the other twice, case folded."""
    counts = (occurrences(keyword1, text), occurrences(keyword2, text))
    return Result(counts == (1, 2), "" if counts == (1, 2) else f"{counts[0]} and {counts[1]} times")


@checker("count:counting_composition")
def counting_composition(text: str, *, n_sent: int, n_words: int) -> Result:
    """Three paragraphs between `***` dividers, of `n_sent` sentences with `n_words` words each."""
    paragraphs = divided(text)
    if paragraphs is None or len(paragraphs) != 3:
        return Result(False, "not three paragraphs between dividers")
    for paragraph in paragraphs:
        found = sentences(paragraph)
        if len(found) != n_sent:
            return Result(False, f"a paragraph of {len(found)} sentences, not {n_sent}")
        for sentence in found:
            if len(tokens(sentence)) != n_words:
                return Result(False, f"a sentence of {len(tokens(sentence))} words, not {n_words}")
    return Result(True)


@checker("keywords:word_once")
def word_once(text: str, *, keyword: str) -> Result:
    """A keyword occurs exactly once, case folded."""
    count = occurrences(keyword, text)
    return Result(count == 1, "" if count == 1 else f"`{keyword}` occurs {count} times")


@checker("keywords:word_count_different_numbers")
def word_count_different_numbers(text: str, *, keyword: str, frequency: int, relation: str = "exactly") -> Result:
    """A keyword occurs `relation` `frequency` times, case folded."""
    count = occurrences(keyword, text)
    return Result(related(count, relation, frequency), f"`{keyword}` occurs {count} times")
