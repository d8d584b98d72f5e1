"""The child process of `verifiers.patterns`: a search that backtracks without end dies with it."""

from __future__ import annotations

import re
from typing import Any


def search(pattern: str, text: str, flags: int, which: str) -> list[list[str | None]]:
    """The first match, the last one, or all: each as its whole text and its groups."""
    compiled = re.compile(pattern, flags)
    if which == "first":
        found = compiled.search(text)
        return [[found.group(), *found.groups()]] if found else []
    matches = [[match.group(), *match.groups()] for match in compiled.finditer(text)]
    return matches[-1:] if which == "last" else matches


def count_lines(patterns: list[str], lines: list[str]) -> int:
    """How many lines one of the patterns matches anywhere."""
    compiled = [re.compile(pattern) for pattern in patterns]
    return sum(1 for line in lines if any(p.search(line) for p in compiled))


def prepare() -> None:
    """Nothing takes long."""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The reply to one request."""
    if "lines" in request:
        return {"count": count_lines(request["patterns"], request["lines"])}
    return {"found": search(request["pattern"], request["text"], request["flags"], request["which"])}
