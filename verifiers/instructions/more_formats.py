"""Further constraints on form, copying and punctuation, by the ids of instruction-following training sets."""

from __future__ import annotations

import re

from verifiers.instructions.registry import Result, checker
from verifiers.instructions.text import sentences


@checker("punctuation:punctuation_dot")
def punctuation_dot(text: str) -> Result:
    """No dot anywhere."""
    return Result("." not in text, "contains a dot" if "." in text else "")


@checker("punctuation:punctuation_exclamation")
def punctuation_exclamation(text: str) -> Result:
    """No exclamation mark anywhere."""
    return Result("!" not in text, "contains an exclamation mark" if "!" in text else "")


@checker("detectable_format:square_brackets")
def square_brackets(text: str) -> Result:
    """Every word stands in square brackets."""
    other = next((w for w in text.split() if not (w.startswith("[") and w.endswith("]"))), None)
    return Result(other is None, "" if other is None else f"{other!r:.40} does not")


@checker("detectable_format:bigram_wrapping")
def bigram_wrapping(text: str) -> Result:
    """Every pair of words stands in double angular brackets: `<<I am>> <<at home>>`; an odd last word may not."""
    found = text.split()
    pairs = zip(found[::2], found[1::2], strict=False)
    other = next((p for p in pairs if not (p[0].startswith("<<") and p[1].endswith(">>"))), None)
    return Result(other is None, "" if other is None else f"{' '.join(other)!r:.60} does not")


@checker("detectable_format:sentence_hyphens")
def sentence_hyphens(text: str) -> Result:
    """All sentences are joined by hyphens without spaces around them."""
    joined = text.strip().split("-")
    expected = sentences(" ".join(joined))
    followed = len(joined) == len(expected) and all(a == b for a, b in zip(joined, expected, strict=True))
    return Result(followed, "" if followed else "the sentences are not joined by hyphens")


@checker("copy:copy", "copy:copying_simple")
def copying_simple(text: str, *, prompt_to_repeat: str) -> Result:
    """The request and nothing else, case folded."""
    followed = _folded(text) == _folded(prompt_to_repeat)
    return Result(followed, "" if followed else "not a copy of the request")


@checker("copy:copying_multiple")
def copying_multiple(text: str, *, prompt_to_repeat: str, N: int) -> Result:
    """The request `N` times with six asterisks between, case folded."""
    parts = [_folded(part) for part in text.split("******")]
    followed = parts == [_folded(prompt_to_repeat)] * int(N)
    return Result(followed, "" if followed else f"not {N} copies of the request")


@checker("copy:copy_span_idx", "new:copy_span_idx")
def copy_span_idx(text: str, *, prompt_to_repeat: str, n_start: int, n_end: int) -> Result:
    """The characters of the request from `n_start` up to `n_end`, case folded."""
    followed = _folded(text) == _folded(prompt_to_repeat[int(n_start) : int(n_end)])
    return Result(followed, "" if followed else "not the span asked for")


def _folded(text: str) -> str:
    return text.strip().lower()


@checker("copy:repeat_phrase", "new:repeat_phrase")
def repeat_phrase(text: str, *, phrase: str, small_n: int) -> Result:
    """A phrase `small_n` times, each time with exactly one of its inner words replaced."""
    original = phrase.split()
    if len(original) < 3:
        return Result(False, "the phrase has no inner word")
    inner = rf"\s+(?:\S+\s+){{{len(original) - 2}}}?"
    found = re.findall(rf"{re.escape(original[0])}{inner}{re.escape(original[-1])}", text)
    changed = [sum(a != b for a, b in zip(original, copy.split(), strict=False)) for copy in found]
    followed = len(found) == small_n and all(count == 1 for count in changed)
    return Result(followed, "" if followed else f"{changed.count(1)} such repetitions, not {small_n}")
