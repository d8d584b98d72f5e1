"""Forms under which two answers are the same: folded text, SQuAD's normal form, numbers within a tolerance."""

from __future__ import annotations

import math
import re
import string
import unicodedata
from collections.abc import Callable
from fractions import Fraction
from typing import Final

_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_NUMBER: Final = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d*)?(?:[eE][-+]?\d{1,4})?")
_FRACTION: Final = re.compile(r"([-+]?\d{1,400})\s*/\s*(\d{1,400})")
_MAX_DIGITS: Final = 400


def folded(text: str) -> str:
    """Case and white space do not count; compatibility forms of characters are one (NFKC)."""
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def squad(text: str) -> str:
    """The normal form of SQuAD's evaluation script: lower case, no ASCII punctuation, no articles, single spaces.

    Rajpurkar et al. 2016, arXiv:1606.05250.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def as_number(text: str, *, percent: bool = False) -> float | None:
    """The number that all of `text` is: thousands with commas, decimals, exponents, a fraction; else None.

    A leading `$` and outer white space do not count. With `percent`, `5%` is 0.05; otherwise it is no number.
    """
    text = unicodedata.normalize("NFKC", text).strip().removeprefix("$").strip().replace("\u2212", "-")
    scale = 1.0
    if text.endswith("%"):
        if not percent:
            return None
        text, scale = text[:-1].rstrip("\\ "), 0.01
    if len(text) > 2 * _MAX_DIGITS:
        return None
    if fraction := _FRACTION.fullmatch(text):
        numerator, denominator = int(fraction.group(1)), int(fraction.group(2))
        return _finite(lambda: float(Fraction(numerator, denominator)) * scale) if denominator else None
    if not text.isascii() or not _NUMBER.fullmatch(text) or not any(c.isdigit() for c in text):
        return None
    return _finite(lambda: float(text.replace(",", "")) * scale)


def same_number(first: float, second: float, *, rel: float = 0.0, abs_: float = 0.0) -> bool:
    """Whether two numbers are equal within a relative or an absolute tolerance; NaN equals nothing."""
    return math.isclose(first, second, rel_tol=rel, abs_tol=abs_)


def _finite(make: Callable[[], float]) -> float | None:
    try:
        value = make()
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
