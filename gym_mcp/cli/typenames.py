"""JSON Schema in the words of people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_DEPTH: Final = 4
"""Levels of nested objects that are spelled out; it also ends recursive schemas."""


def type_name(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int = 0) -> str:
    """A short name of the type that `schema` describes: `string`, `integer | null`, `list of string`, `'a' | 'b'`.

    References are looked up in `root`.
    """
    schema = _resolved(schema, root)
    if "const" in schema:
        return repr(schema["const"])
    if "enum" in schema:
        return " | ".join(map(repr, schema["enum"]))
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " | ".join(dict.fromkeys(type_name(s, root, depth) for s in schema[union]))
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " | ".join(kind)
    if kind == "array":
        items = schema.get("items")
        return f"list of {type_name(items, root, depth + 1)}" if isinstance(items, dict) else "list"
    if kind == "object" and depth < _DEPTH:
        fields = ", ".join(
            f"{k}: {type_name(s, root, depth + 1)}" for k, s in schema.get("properties", {}).items()
        )
        return f"{{{fields}}}" if fields else "object"
    return str(kind)


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref", "")
    if not reference.startswith("#/"):
        return schema
    found: Any = root
    for part in reference[2:].split("/"):
        found = found.get(part, {})
    return found if isinstance(found, dict) else {}
