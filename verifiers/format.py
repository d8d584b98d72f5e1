"""Format of a reply by line patterns and by markers that must, or must not, stand in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from verifiers.patterns import TooSlow, find_all, matching_lines

MAX_LINE: int = 10_000
"""Characters of a line that a pattern sees; patterns come from rows and may backtrack."""


@dataclass(frozen=True, slots=True)
class Format:
    """Whether the reply has the format asked for, the share of what was asked that is there, and a note."""

    fits: bool
    share: float
    note: str


def lines_matching(text: str, patterns: Sequence[str], least: int = 1) -> Format:
    """At least `least` lines match one of the patterns anywhere (`re.search`); a line counts once.

    Invalid patterns raise `re.error`.
    """
    try:
        count = matching_lines(patterns, [line[:MAX_LINE] for line in text.splitlines()])
    except TooSlow as e:
        return Format(False, 0.0, str(e))
    share = min(1.0, count / least) if least > 0 else 1.0
    return Format(count >= least, share, f"{count} of {least} lines match")


def markers(text: str, expected: Collection[str], patterns: Sequence[str] = ()) -> Format:
    """Every expected marker stands in the text, and whatever a pattern finds there is an expected marker.

    What a pattern finds is its whole match, outer white space left out. Invalid patterns raise `re.error`.
    """
    missing = [marker for marker in expected if marker not in text]
    try:
        foreign = [found for found in _found(text, patterns) if found not in expected]
    except TooSlow as e:
        return Format(False, 0.0, str(e))
    share = 1.0 - len(missing) / len(expected) if expected else 1.0
    notes = [f"missing: {', '.join(missing)[:200]}"] if missing else []
    notes += [f"not expected: {', '.join(foreign)[:200]}"] if foreign else []
    return Format(not missing and not foreign, share, "; ".join(notes))


def _found(text: str, patterns: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for pattern in patterns:
        for match in find_all(pattern, text):
            found.setdefault(match.text.strip())
    return list(found)
