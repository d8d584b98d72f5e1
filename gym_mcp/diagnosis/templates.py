"""From messages to their templates: what differs from one occurrence to the next is abstracted."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

LONGEST: Final = 200
_RULES: Final = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)]+", "<url>"),
        (r"\b[\w.+-]+@[\w-]+\.[\w.-]+", "<email>"),
        (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)?", "<date>"),
        (r"(?<![\w<])(?:[A-Za-z]:)?(?:/[\w.@%+-]+){2,}/?", "<path>"),
        (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<id>"),
        (r"\b0x[0-9a-fA-F]+\b|\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}\b", "<id>"),
        (r"'[^'\n]{0,300}'|\"[^\"\n]{0,300}\"|`[^`\n]{0,300}`", "<text>"),
        (r"[-+]?(?<![\w.])\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?(?=\D|$)", "<n>"),
        (r"\d+", "<n>"),
        (r"\s+", " "),
    )
)


@lru_cache(maxsize=20_000)
def template(message: str) -> str:
    """One line with numbers, ids, paths, addresses, dates and quoted texts abstracted; at most 200 characters."""
    text = message[:2000]
    for pattern, name in _RULES:
        text = pattern.sub(name, text)
    return text.strip()[:LONGEST]
