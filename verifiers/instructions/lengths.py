"""IFEval's length constraints: words, sentences, paragraphs."""

from __future__ import annotations

import re
from typing import Final

from verifiers.instructions.registry import Result, checker
from verifiers.instructions.text import divided, related, sentences, words

_FIRST_WORD: Final = re.compile(r"[^.,?!'\"]*")


def _counted(count: int, what: str, relation: str, limit: int) -> Result:
    followed = related(count, relation, limit)
    return Result(followed, "" if followed else f"{count} {what}, {relation} {limit} asked for")


@checker("length_constraints:number_words")
def number_words(text: str, *, num_words: int, relation: str) -> Result:
    """`relation` (`at least` or `less than`) `num_words` words."""
    return _counted(len(words(text)), "words", relation, num_words)


@checker("length_constraints:number_sentences")
def number_sentences(text: str, *, num_sentences: int, relation: str) -> Result:
    """`relation` `num_sentences` sentences."""
    return _counted(len(sentences(text)), "sentences", relation, num_sentences)


def paragraphs_between_dividers(text: str, count: int) -> Result:
    """Exactly `count` paragraphs with `***` between them."""
    found = divided(text)
    if found is None:
        return Result(False, "a blank paragraph between two dividers")
    return Result(len(found) == count, "" if len(found) == count else f"{len(found)} paragraphs, not {count}")


@checker("length_constraints:number_paragraphs")
def number_paragraphs(text: str, *, num_paragraphs: int) -> Result:
    """`num_paragraphs` paragraphs, separated by the markdown divider `***`."""
    return paragraphs_between_dividers(text, num_paragraphs)


@checker("length_constraints:nth_paragraph_first_word")
def nth_paragraph_first_word(text: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> Result:
    """`num_paragraphs` paragraphs, separated by blank lines; the n-th (from 1) starts with `first_word`."""
    parts = text.split("\n\n")
    count = sum(1 for part in parts if part.strip())
    if count != num_paragraphs:
        return Result(False, f"{count} paragraphs, not {num_paragraphs}")
    if not 1 <= nth_paragraph <= count:
        return Result(False, f"there is no paragraph {nth_paragraph}")
    paragraph = parts[int(nth_paragraph) - 1].split()
    opening = paragraph[0].lstrip("'").lstrip('"') if paragraph else ""
    match = _FIRST_WORD.match(opening)
    found = match.group().lower() if match else ""
    followed = found == first_word.lower()
    return Result(followed, "" if followed else f"paragraph {nth_paragraph} starts with {found!r:.40}")
