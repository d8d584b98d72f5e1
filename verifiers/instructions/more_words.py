"""Further constraints on words and their places, by the ids of instruction-following training sets."""

from __future__ import annotations

from itertools import pairwise

from verifiers.instructions.registry import Result, checker
from verifiers.instructions.text import bare, sentences, tokens


def _followed(condition: bool, why_not: str) -> Result:
    return Result(condition, "" if condition else why_not)


@checker("first_word:first_word_answer")
def first_word_answer(text: str, *, first_word: str) -> Result:
    """The text starts with a word, case folded; punctuation after it does not count."""
    found = text.split()[0]
    return _followed(_same(found, first_word), f"starts with {found!r:.40}")


@checker("first_word:first_word_sent")
def first_word_sent(text: str, *, first_word: str) -> Result:
    """Every sentence starts with the same given word, case folded."""
    other = next((s for s in sentences(text) if not _same(s.split()[0], first_word)), None)
    return _followed(other is None, f"a sentence starts otherwise: {other!r:.60}")


@checker("last_word:last_word_answer")
def last_word_answer(text: str, *, last_word: str) -> Result:
    """The text ends with a word, case folded, punctuation around it left out."""
    found = text.split()[-1]
    return _followed(_same(found, last_word), f"ends with {found!r:.40}")


@checker("last_word:last_word_sent")
def last_word_sent(text: str, *, last_word: str) -> Result:
    """Every sentence ends with the same given word, case folded, punctuation left out."""
    other = next((s for s in sentences(text) if not _same(s.split()[-1], last_word)), None)
    return _followed(other is None, f"a sentence ends otherwise: {other!r:.60}")


def _same(found: str, wanted: str) -> bool:
    return found.lower() == wanted.strip().lower() or bare(found) == bare(wanted.strip()) != ""


@checker("keywords:palindrome")
def palindrome(text: str) -> Result:
    """Some word of three letters or more reads the same backwards, case folded."""
    found = (bare(word) for word in text.split())
    return _followed(any(len(word) > 2 and word == word[::-1] for word in found), "no palindrome")


@checker("keywords:keyword_specific_position")
def keyword_specific_position(text: str, *, keyword: str, n: int, m: int) -> Result:
    """A keyword is the m-th word of the n-th sentence, both counted from 1; case counts."""
    found = sentences(text)
    if not 1 <= n <= len(found):
        return Result(False, f"{len(found)} sentences only")
    in_sentence = tokens(found[int(n) - 1])
    if not 1 <= m <= len(in_sentence):
        return Result(False, f"sentence {n} has {len(in_sentence)} words")
    return _followed(in_sentence[int(m) - 1] == keyword, f"word {m} there is {in_sentence[int(m) - 1]!r:.40}")


@checker("keywords:start_end")
def start_end(text: str) -> Result:
    """The text starts and ends with the same word, case folded, with nothing after it."""
    first, last = text.split()[0], text.split()[-1]
    return _followed(bare(first) == last.lower() != "", f"{first!r:.40} and {last!r:.40}")


@checker("keywords:exclude_word_harder")
def exclude_word_harder(text: str, *, keyword: str) -> Result:
    """A keyword does not stand between two spaces; case counts."""
    return _followed(f" {keyword} " not in text, f"contains `{keyword}`")


@checker("keywords:no_adjacent_consecutive")
def no_adjacent_consecutive(text: str) -> Result:
    """No two neighbours start with consecutive letters of the alphabet, case folded."""
    pair = next((p for p in pairwise(text.lower().split()) if _consecutive(*p)), None)
    return _followed(pair is None, f"neighbours {pair}"[:80])


def _consecutive(first: str, second: str) -> bool:
    letters = first[0].isascii() and first[0].isalpha() and second[0].isascii() and second[0].isalpha()
    return letters and ord(second[0]) - ord(first[0]) == 1
