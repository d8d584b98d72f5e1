"""A Gymnasium environment in words: its spaces as JSON, its drawings without escape codes, its own description."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any, Final

MAX_NUMBERS: Final = 64
"""Numbers in an observation; more is an image, not text."""
_COLOUR: Final = re.compile(r"\x1b\[([\d;]*)m(.*?)\x1b\[0m", re.DOTALL)
_ESCAPE: Final = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
_LEFT_OUT: Final = ("Arguments", "Version", "References", "Information", "Vectorized", "Episode End", "Tutorials")
LEGEND: Final = "In drawings, [x] is a highlighted cell (you, where the game has a position), <x> a coloured one."


def plain(value: Any) -> Any:
    """An observation or reward as JSON: arrays as lists, tuples as lists, numpy numbers as numbers."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def numbers(value: Any) -> int:
    """How many numbers an observation holds."""
    if isinstance(value, dict):
        return sum(map(numbers, value.values()))
    return sum(map(numbers, value)) if isinstance(value, list) else 1


def drawing(rendered: Any) -> str:
    """What `render()` drew as text, with marks where it used colours; nothing for a picture."""
    if not isinstance(rendered, str):
        return ""
    marked = _COLOUR.sub(lambda m: _mark(m[1], m[2]), rendered)
    return _ESCAPE.sub("", marked).strip("\n")


def _mark(codes: str, text: str) -> str:
    highlighted = any(code.isdigit() and 40 <= int(code) <= 47 for code in codes.split(";"))
    return f"[{text}]" if highlighted else f"<{text}>"


def state_line(**fields: Any) -> str:
    """One line of JSON."""
    return json.dumps({key: plain(value) for key, value in fields.items()})


def about(env: Any) -> str:
    """What the library says of the environment: its docstring up to the sections for programmers."""
    doc = inspect.getdoc(env.unwrapped) or ""
    kept = []
    for section in re.split(r"(?m)^(?=## )", doc):
        title = section[3:].split("\n", 1)[0]
        if not section.startswith("## ") or not title.startswith(_LEFT_OUT):
            kept.append(section.strip())
    return re.sub(r"<[^<>]*>", "", "\n\n".join(part for part in kept if part))
