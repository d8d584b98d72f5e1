"""Text that a model wrote, made harmless to whatever shows it: what cannot be seen is shown, and it ends."""

from __future__ import annotations

import re
from typing import Final

_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_SPACE: Final = re.compile(r"\s+")


def clean(text: str, limit: int | None = None) -> str:
    """`text` with control, direction and other invisible characters shown, cut to `limit` characters.

    Those characters could hide text, turn it round, move a terminal's cursor or end a document.
    """
    cut = text if limit is None or len(text) <= limit else text[:limit]
    shown = _INVISIBLE.sub(_shown, cut.replace("\r\n", "\n"))
    return shown if len(cut) == len(text) else f"{shown}… ({len(text) - len(cut):,} characters more)"


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else f"⟨U+{code:04X}⟩"


def line(text: str, limit: int = 200) -> str:
    """`clean` on one line, white space collapsed."""
    short = _SPACE.sub(" ", text[: 4 * limit]).strip()
    return clean(short, limit)
