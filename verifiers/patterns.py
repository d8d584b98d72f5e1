"""Regular expressions of rows on texts of models: a search that takes too long is given up.

Published ones such as `<tag>\\s*(.+?)\\s*</tag>` take cubic time on an unclosed tag and spaces; only the end of
its process stops Python's `re` for certain. So all but short texts are searched in a child.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from verifiers.pattern_worker import count_lines, search

Which: TypeAlias = Literal["first", "last"]

SECONDS: Final = 2.0
SHORT: Final = 300
"""Characters that cubic time does no harm to."""
_WORKER: Final = Path(__file__).with_name("pattern_worker.py")


class TooSlow(Exception):
    """A search took longer than `SECONDS`."""


@dataclass(frozen=True, slots=True)
class Found:
    """A match: all of it, and its groups."""

    text: str
    groups: tuple[str | None, ...]

    @property
    def captured(self) -> str:
        """The first group that took part, else all of the match."""
        return next((group for group in self.groups if group is not None), self.text)


def find(pattern: str, text: str, which: Which, flags: int = 0) -> Found | None:
    """The first or last match. Raises `re.error` for an invalid pattern, or `TooSlow`."""
    return next(iter(_found(pattern, text, which, flags)), None)


def find_all(pattern: str, text: str, flags: int = 0) -> list[Found]:
    """All matches that do not overlap. Raises `re.error` for an invalid pattern, or `TooSlow`."""
    return _found(pattern, text, "all", flags)


def matching_lines(patterns: Sequence[str], lines: Sequence[str]) -> int:
    """How many lines one of the patterns matches anywhere. Raises `re.error` or `TooSlow`."""
    if sum(map(len, lines)) <= SHORT:
        return count_lines(list(patterns), list(lines))
    for pattern in patterns:
        re.compile(pattern)
    return int(_ask({"patterns": list(patterns), "lines": list(lines)})["count"])


def _found(pattern: str, text: str, which: str, flags: int) -> list[Found]:
    re.compile(pattern, flags)
    if len(text) <= SHORT:
        matches = search(pattern, text, flags, which)
    else:
        matches = _ask({"pattern": pattern, "text": text, "flags": int(flags), "which": which})["found"]
    return [Found(whole or "", tuple(groups)) for whole, *groups in matches]


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    from verifiers.workers import WorkerDied, WorkerTimeout, pool_of

    try:
        return pool_of(_WORKER).ask(request, timeout=SECONDS)
    except (WorkerTimeout, WorkerDied) as e:
        raise TooSlow(f"a pattern found no end in this text: {e}") from None
