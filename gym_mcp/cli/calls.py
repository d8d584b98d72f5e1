"""A tool call as a person types it: `add amount=2`, `add 2`, or `add {"amount": 2}`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from gym_mcp.errors import UsageError
from gym_mcp.suggest import did_you_mean
from gym_mcp.types import JSONObject


def parse_call(text: str, schemas: Mapping[str, JSONObject]) -> tuple[str, JSONObject]:
    """(tool, arguments) of one line; values are read as the schema's types. `UsageError` for what is no call."""
    name, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    if name not in schemas:
        raise UsageError(f"no tool `{name}`{did_you_mean(name, schemas)}; /tools lists them")
    if rest.startswith("{"):
        return name, _object(name, rest)
    properties: JSONObject = schemas[name].get("properties", {})
    try:
        words = shlex.split(rest)
    except ValueError as e:
        raise UsageError(f"{name}: {e}") from None
    arguments: JSONObject = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (equals and key in properties):
            free = [p for p in properties if p not in arguments]
            if not free:
                raise UsageError(f"{name}: `{word}` is no NAME=VALUE, and no argument is left for it")
            key, value = free[0], word
        arguments[key] = _value(value, properties[key])
    return name, arguments


def _object(name: str, text: str) -> JSONObject:
    try:
        value: Any = json.loads(text)
    except ValueError as e:
        raise UsageError(f"{name}: no JSON object: {e}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{name}: a JSON object is expected")
    return value


def _value(text: str, schema: Any) -> Any:
    """A word as the type that the schema wants: text stays text where a string may stand."""
    kinds = schema.get("type") if isinstance(schema, dict) else None
    if kinds == "string" or (isinstance(kinds, list) and "string" in kinds):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
