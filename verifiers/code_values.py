"""Plain Python values as JSON that keeps their types: what crosses the border of a sandbox.

Used on both sides of it, so it imports little. Reading never runs code of the value's.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_ITEMS = 100_000
"""Of an iterator that may have no end."""


_COLLECTIONS: dict[str, type[Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset}


class Opaque:
    """Stands for a value that is no plain data; equal to nothing but itself. `text` is its type's name."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"<{self.text}>"


def dumps(value: Any) -> str:
    """A value as one line. What is no plain data becomes an `Opaque` on the other side."""
    return json.dumps(_packed(value))


def loads(text: str | bytes) -> Any:
    """The value of a line; `ValueError` for what `dumps` did not make."""
    try:
        return _unpacked(json.loads(text))
    except (RecursionError, TypeError, KeyError) as e:
        raise ValueError(f"not a value: {type(e).__name__}") from None


def _packed(value: Any) -> Any:
    if value is None or value is True or value is False:
        return value
    for plain in (int, float, str):
        if isinstance(value, plain):
            return plain.__str__(value) if plain is str else plain(value)
    if isinstance(value, list):
        return [_packed(v) for v in value]
    if isinstance(value, dict):
        return {"dict": [[_packed(k), _packed(v)] for k, v in value.items()]}
    for name, kind in _COLLECTIONS.items():
        if isinstance(value, kind):
            return {name: [_packed(v) for v in value]}
    if isinstance(value, bytes | bytearray):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if hasattr(value, "__next__"):
        return {"iterator": [_packed(v) for _, v in zip(range(_MAX_ITEMS), value)]}  # noqa: B905 - cuts off
    return {"opaque": type(value).__name__[:100]}


def _unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpacked(v) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "bytes":
        return bytes.fromhex(content)
    if kind == "complex":
        return complex(*content)
    if kind == "opaque":
        return Opaque(str(content))
    items = _unpacked(content)
    if kind == "dict":
        return dict(items)
    if kind == "iterator":
        return iter(items)
    return _COLLECTIONS[kind](items)
