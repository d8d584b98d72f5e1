"""Texts of XML and CSV as the types that a schema expects: these formats have no others."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from verifiers.structured.schema import violation

_INTEGER: Final = re.compile(r"[+-]?\d{1,400}")
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def coerced(value: Any, schema: Any) -> Any:
    """`value` with its texts read as the schema's types, where they can be; what cannot stays as it is.

    Where an array is expected, a dict of one key is what wraps it (`<tags><tag>a</tag><tag>b</tag></tags>`), and
    anything else is its only item. An empty element is "" for a text, [] for an array, else null. A cell of CSV
    holds arrays and objects as JSON.
    """
    if not isinstance(schema, Mapping):
        return value
    for branch in _branches(schema):
        attempt = coerced(value, branch)
        if not violation(attempt, branch):
            return attempt
    types = schema.get("type", ())
    types = [types] if isinstance(types, str) else list(types)
    if isinstance(value, str):
        return _from_text(value, types, schema)
    if value is None:
        return _from_nothing(types)
    if "array" in types:
        items = schema.get("items", {})
        return [coerced(item, items) for item in _items(value, items)]
    if isinstance(value, dict) and isinstance(schema.get("properties"), Mapping):
        return {key: coerced(entry, schema["properties"].get(key, {})) for key, entry in value.items()}
    return value


def _branches(schema: Mapping[str, Any]) -> list[Any]:
    return [branch for word in ("anyOf", "oneOf") for branch in schema.get(word, ())]


def _from_nothing(types: list[str]) -> Any:
    if "null" in types:
        return None
    return "" if "string" in types else [] if "array" in types else None


def _from_text(text: str, types: list[str], schema: Mapping[str, Any]) -> Any:
    word = text.strip()
    if "null" in types and word.lower() in ("", "null"):
        return None
    if "integer" in types and _INTEGER.fullmatch(word):
        return int(word)
    if "number" in types and _NUMBER.fullmatch(word):
        return float(word)
    if "boolean" in types and word.lower() in ("true", "false"):
        return word.lower() == "true"
    if word[:1] in ("[", "{") and ("array" in types or "object" in types) and "string" not in types:
        try:
            return json.loads(word)
        except (ValueError, RecursionError):
            return text
    if "array" in types and "string" not in types:
        return [coerced(text, schema.get("items", {}))] if word else []
    return text


def _items(value: Any, items: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and len(value) == 1:
        [(name, inner)] = value.items()
        properties = items.get("properties", {}) if isinstance(items, Mapping) else {}
        if name not in properties or isinstance(inner, list | dict):
            return inner if isinstance(inner, list) else [inner]
    return [value]
