"""Which language a text is written in: py3langid where installed, else the script of its letters."""

from __future__ import annotations

import importlib
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any, Final

MAX_CHARS: Final = 20_000
"""Characters that are looked at."""
MISSING: Final = "language judged by its script only: install py3langid"
_SCRIPTS: Final = {
    "ar fa ur ps": ("ARABIC",),
    "hi mr ne sa": ("DEVANAGARI",),
    "ru bg uk sr mk be kk ky mn": ("CYRILLIC",),
    "zh": ("CJK",),
    "ja": ("CJK", "HIRAGANA", "KATAKANA"),
    "ko": ("HANGUL",),
    "el": ("GREEK",),
    "he": ("HEBREW",),
    "th": ("THAI",),
    "bn as": ("BENGALI",),
    "ta": ("TAMIL",),
    "te": ("TELUGU",),
    "kn": ("KANNADA",),
    "ml": ("MALAYALAM",),
    "gu": ("GUJARATI",),
    "pa": ("GURMUKHI",),
    "si": ("SINHALA",),
    "ka": ("GEORGIAN",),
    "hy": ("ARMENIAN",),
    "am": ("ETHIOPIC",),
    "km": ("KHMER",),
    "lo": ("LAO",),
    "or": ("ORIYA",),
}


def written_in(text: str, language: str) -> tuple[bool, str]:
    """Whether `text` is in `language` (ISO 639-1, a region such as `zh-cn` ignored), and what is uncertain.

    A text without letters counts as written in any language, as in the published evaluation.
    """
    wanted = language.strip().lower().split("-")[0]
    sample = text[:MAX_CHARS].lower()
    if not any(character.isalpha() for character in sample):
        return True, "no letters: any language"
    classify = _classifier()
    if classify is None:
        return _script(sample) in _scripts_of(wanted), MISSING
    found = str(classify(sample)[0])
    return found == wanted, "" if found == wanted else f"written in `{found}`, not `{wanted}`"


@cache
def _classifier() -> Callable[[str], Any] | None:
    try:
        classify: Callable[[str], Any] = importlib.import_module("py3langid").classify
    except ImportError:
        return None
    return classify


def _scripts_of(language: str) -> tuple[str, ...]:
    return next((scripts for codes, scripts in _SCRIPTS.items() if language in codes.split()), ("LATIN",))


def _script(text: str) -> str:
    """First word of the Unicode name of most letters: LATIN, CYRILLIC, CJK..."""
    names = Counter(unicodedata.name(character, "?").split()[0] for character in text if character.isalpha())
    return names.most_common(1)[0][0]
