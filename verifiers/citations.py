"""Citations in a declared notation: gates from well-formed marks to the sources that had to be cited."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Grammar: TypeAlias = Literal["ascii_brackets", "cite_xml", "double_angle", "ref_colon", "web_brackets"]
Gate: TypeAlias = Literal[
    "no_answer", "malformed_attempt", "too_few", "unknown_id", "missed_id", "too_many", "citation_present"
]
_GRAMMARS: Final[dict[Grammar, tuple[str, str]]] = {
    "ascii_brackets": (r"\[", r"\]"),
    "cite_xml": ("<cite>", "</cite>"),
    "double_angle": ("<<", ">>"),
    "ref_colon": (r"\[ref:", r"\]"),
    "web_brackets": ("【", "】"),
}
_ATTEMPT: Final = re.compile(r"</?cite\b|\[ref:|【|】", re.IGNORECASE)
"""Marks that are no prose: they count as citations even around nothing."""
_WORD: Final = re.compile(r"\w{2,}")


@dataclass(frozen=True, slots=True)
class Citations:
    """`gate`: the first that the reply did not pass, None when it passed all. `cited`: distinct ids, in order."""

    gate: Gate | None
    cited: tuple[str, ...] = ()
    missed: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        return self.gate is None


def check_citations(
    text: str,
    *,
    grammar: Grammar,
    id_regex: str,
    valid_ids: Collection[str],
    expected_ids: Collection[str] | None = None,
    slack: int = 1,
    least: int = 1,
) -> Citations:
    """The gates, in order: words besides the citations; nothing id-shaped or mark-shaped outside well-formed
    citations; at least `least` of `valid_ids`; no other id; all of `expected_ids`; no more than `slack` besides.

    An id-shaped token is one that matches `id_regex` or the part of it before a colon, so that an id without its
    snippet is a malformed attempt. Without `expected_ids` the last two gates stand open.
    """
    opening, closing = _GRAMMARS[grammar]
    mark = re.compile(rf"{opening}\s*({id_regex})\s*{closing}")
    cited = tuple(dict.fromkeys(match.group(1) for match in mark.finditer(text)))
    rest = mark.sub(" ", text)
    if not _WORD.search(rest):
        return Citations("no_answer", cited)
    if _is_attempt(rest, id_regex):
        return Citations("malformed_attempt", cited)
    valid = [entry for entry in cited if entry in valid_ids]
    if len(valid) < least:
        return Citations("too_few", cited)
    if len(valid) < len(cited):
        return Citations("unknown_id", cited)
    if expected_ids is None:
        return Citations(None, cited)
    missed = tuple(entry for entry in expected_ids if entry not in cited)
    if missed:
        return Citations("missed_id", cited, missed)
    return Citations("too_many" if len(cited) > len(expected_ids) + slack else None, cited)


def check_no_citations(text: str, *, id_regex: str) -> Citations:
    """Words, and no mark of any grammar nor anything id-shaped."""
    if not _WORD.search(text):
        return Citations("no_answer")
    return Citations("citation_present" if _is_attempt(text, id_regex) else None)


def _is_attempt(text: str, id_regex: str) -> bool:
    shapes = [id_regex, id_regex.split(":")[0]]
    return _ATTEMPT.search(text) is not None or any(re.search(shape, text) for shape in shapes)
