"""How the checkers count: words, tokens, sentences, paragraphs, and the relations of counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_WORD: Final = re.compile(r"\w+")
_PIECE: Final = re.compile(r"[^\s,:;?!\"()\[\]{}<>…“”]+")
_CONTRACTION: Final = re.compile(r"(?i)(.+?)(n't|['’](?:s|m|d|ll|re|ve))$")
_END: Final = re.compile(r"(?<![.!?…])([.!?…]++)[\"'”’)\]*_]*+(?=\s|$)|[。！？｡]++[」』”’）]*+")
_LAST_WORD: Final = re.compile(r"[^\s\"'“”‘’()\[\]*_]*$")
_INITIAL: Final = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]", re.UNICODE)
_DIVIDER: Final = re.compile(r"\s?\*\*\*\s?")
RELATIONS: Final = ("less than", "at least", "at most", "more than", "exactly", "equal to")
_ABBREVIATIONS: Final = frozenset(
    "mr mrs ms dr prof sr jr st mt gen col lt sgt capt rev hon pres gov sen rep inc ltd co corp vs etc cf al "
    "fig eq sec ch vol no nos pp p ed eds est dept univ approx jan feb mar apr jun jul aug sep sept oct nov dec "
    "mon tue wed thu fri sat sun ave blvd rd e.g i.e a.m p.m ph.d m.d b.a m.a u.s u.k u.n d.c".split()
)


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores."""
    return _WORD.findall(text)


def tokens(text: str) -> list[str]:
    """Words as a tokenizer of English sees them: punctuation and contractions split off, periods too at an end."""
    found: list[str] = []
    for piece in _PIECE.findall(text):
        word = piece.strip("'‘’`")
        if word.endswith(".") and "." not in word[:-1]:
            word = word[:-1]
        contraction = _CONTRACTION.match(word)
        found += contraction.groups() if contraction else [word] if word else []
    return found


def sentences(text: str) -> list[str]:
    """Sentences by their closing punctuation, blank ones left out.

    A period does not end a sentence after an abbreviation or an initial, nor before a lower-case letter. A line
    break alone ends none.
    """
    found: list[str] = []
    start = 0
    for end in _END.finditer(text):
        if _closes(text, end, start):
            found.append(text[start : end.end()].strip())
            start = end.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def _closes(text: str, end: re.Match[str], start: int) -> bool:
    mark = end.group(1)
    if mark is None or "!" in mark or "?" in mark:
        return True
    following = text[end.end() : end.end() + 80].lstrip(" \t\n\"'“‘([*_")[:1]
    if following.islower():
        return False
    before = _LAST_WORD.search(text, max(start, end.start() - 40), end.start())
    word = before.group() if before else ""
    if mark == "." and following:
        return not (word.lower() in _ABBREVIATIONS or (word != "I" and _INITIAL.fullmatch(word) is not None))
    return True


def divided(text: str) -> list[str] | None:
    """Paragraphs between `***` dividers; None when one that is not at an end is blank."""
    return _without_outer_blanks(_DIVIDER.split(text))


def separated(text: str, divider: str) -> list[str] | None:
    """Parts between literal dividers; None when one that is not at an end is blank."""
    return _without_outer_blanks(text.split(divider))


def _without_outer_blanks(parts: Sequence[str]) -> list[str] | None:
    last = len(parts) - 1
    kept = [part for i, part in enumerate(parts) if part.strip() or i not in (0, last)]
    return kept if all(part.strip() for part in kept) else None


def related(count: int, relation: str, limit: int) -> bool:
    """Whether `count` stands in a published relation to `limit`: `at least`, `less than`, and the like."""
    match relation.strip().lower():
        case "less than":
            return count < limit
        case "at least":
            return count >= limit
        case "at most":
            return count <= limit
        case "more than":
            return count > limit
        case "exactly" | "equal to":
            return count == limit
    raise ValueError(f"unknown relation {relation!r}")


def occurrences(phrase: str, text: str, *, whole_words: bool = False) -> int:
    """How often a phrase occurs, case folded, overlaps not counted; as whole words where asked."""
    pattern = re.escape(phrase)
    if whole_words:
        pattern = rf"(?<!\w){pattern}(?!\w)"
    return len(re.findall(pattern, text, re.IGNORECASE)) if phrase else 0


def bare(word: str) -> str:
    """A word in lower case without anything but letters, digits and underscores."""
    return re.sub(r"[^\w\s]", "", word).lower()
