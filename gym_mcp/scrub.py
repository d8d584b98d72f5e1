"""Keeps credentials out of everything that is written down."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_SECRET_WORDS: Final = ("key", "token", "secret", "password", "passwd", "signature", "sig", "credential", "auth")


def scrub_url(text: str) -> str:
    """`text` with the user part and secret-looking query values of a URL masked; other texts as they are."""
    if "://" not in text:
        return text
    parts = urlsplit(text)
    host = parts.netloc.rsplit("@", 1)[-1]
    query = [
        (k, "***" if any(w in k.lower() for w in _SECRET_WORDS) else v)
        for k, v in parse_qsl(parts.query, keep_blank_values=True)
    ]
    netloc = f"***@{host}" if "@" in parts.netloc else host
    return urlunsplit((parts.scheme, netloc, parts.path, urlencode(query, safe="*"), parts.fragment))
