"""How large and how deep a value may be that somebody else wrote."""

from __future__ import annotations

from typing import Any, Final

MAX_CHARS: Final = 200_000
MAX_DEPTH: Final = 100
MAX_NODES: Final = 20_000


class OutOfBounds(ValueError):
    """Too large or too deeply nested to be looked at."""


def check_bounds(value: Any) -> None:
    """Raise `OutOfBounds` for a value of more than `MAX_NODES` parts or nested deeper than `MAX_DEPTH`."""
    stack, nodes = [(value, 0)], 0
    while stack:
        part, depth = stack.pop()
        nodes += 1
        if nodes > MAX_NODES:
            raise OutOfBounds(f"more than {MAX_NODES} parts")
        if depth > MAX_DEPTH:
            raise OutOfBounds(f"nested deeper than {MAX_DEPTH}")
        if isinstance(part, dict):
            stack += [(entry, depth + 1) for entry in part.values()]
        elif isinstance(part, list):
            stack += [(entry, depth + 1) for entry in part]
