"""Typing errors deserve a hint."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for the nearest known word, else `; known: ...` for a short list, else nothing."""
    names = list(known)
    # The start of a long name is far from it by edit distance, but says which one is meant.
    begun = [name for name in names if len(word) >= 3 and name.startswith(word)]
    close = begun if len(begun) == 1 else difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean `{close[0]}`?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= 12 else ""
