"""Keeps credentials out of everything that is written down."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

MASK: Final = "***"
_SECRET_WORDS: Final = ("key", "token", "secret", "password", "passwd", "signature", "sig", "credential", "auth")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")


def scrub_url(text: str) -> str:
    """`text` with the user part and secret-looking query values of every URL in it masked."""
    return _URL.sub(lambda match: _scrubbed(match[0]), text) if "://" in text else text


def _scrubbed(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # no URL after all, such as an unfinished IPv6 address
        return MASK
    host = parts.netloc.rsplit("@", 1)[-1]
    query = [
        (k, MASK if any(w in k.lower() for w in _SECRET_WORDS) else v)
        for k, v in parse_qsl(parts.query, keep_blank_values=True)
    ]
    netloc = f"{MASK}@{host}" if "@" in parts.netloc else host
    return urlunsplit((parts.scheme, netloc, parts.path, urlencode(query, safe="*"), parts.fragment))
