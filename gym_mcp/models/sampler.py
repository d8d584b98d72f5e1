"""Random values that fit a JSON schema: the part of draft 2020-12 that tool schemas use."""

from __future__ import annotations

import math
import random
import string
from collections.abc import Callable
from typing import Any, Final

from gym_mcp.types import JSONObject

MAX_DEPTH: Final = 6
"""Nesting after which optional parts are left out, so that recursive schemas end."""
_SPAN: Final = 100
_ALPHABET: Final = string.ascii_lowercase + " "


class Sampler:
    """Draws values of `schema`; `$ref` is resolved inside it. Not covered: `pattern`, `not`, `if`, formats."""

    def __init__(self, schema: JSONObject, rng: random.Random) -> None:
        self._root = schema
        self._rng = rng

    def sample(self) -> Any:
        """One value."""
        return self._value(self._root, 0)

    def _value(self, schema: Any, depth: int) -> Any:
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._rng.choice(schema["enum"])
        if depth > MAX_DEPTH and "default" in schema:
            return schema["default"]
        return self._typed(self._type(schema, depth), schema, depth)

    def _resolved(self, schema: Any, depth: int) -> JSONObject:
        """`schema` with `$ref`, `allOf` and one branch of `anyOf`/`oneOf` merged into it."""
        for _ in range(32):
            if not isinstance(schema, dict):
                return {}
            rest = {k: v for k, v in schema.items() if k not in ("$ref", "allOf", "anyOf", "oneOf")}
            if len(rest) == len(schema):
                return rest
            parts: list[Any] = [self._target(schema["$ref"])] if "$ref" in schema else []
            parts += schema.get("allOf", ())
            for word in ("anyOf", "oneOf"):
                if schema.get(word):
                    parts.append(self._branch(schema[word], depth))
            for part in parts:
                rest = _merge(rest, part if isinstance(part, dict) else {})
            schema = rest
        return {}

    def _branch(self, branches: list[Any], depth: int) -> Any:
        """Any branch; deep down the simplest, which ends a recursion when one can be ended."""
        if depth > MAX_DEPTH:
            return min(
                branches, key=lambda b: len(str(b)) if isinstance(b, dict) and "$ref" not in b else math.inf
            )
        return self._rng.choice(branches)

    def _target(self, reference: str) -> Any:
        node: Any = self._root
        for word in reference.removeprefix("#").strip("/").split("/"):
            if word:
                word = word.replace("~1", "/").replace("~0", "~")
                node = node.get(word, {}) if isinstance(node, dict) else {}
        return node

    def _type(self, schema: JSONObject, depth: int) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = "null" if depth > MAX_DEPTH and "null" in kind else self._rng.choice(kind)
        if isinstance(kind, str):
            return kind
        if "properties" in schema or "required" in schema:
            return "object"
        return "array" if "items" in schema or "prefixItems" in schema else "string"

    def _typed(self, kind: str, schema: JSONObject, depth: int) -> Any:
        makers: dict[str, Callable[[JSONObject, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda *_: self._rng.random() < 0.5,
            "null": lambda *_: None,
        }
        return makers.get(kind, self._string)(schema, depth)

    def _object(self, schema: JSONObject, depth: int) -> JSONObject:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        names = [n for n in properties if n in required or (depth < MAX_DEPTH and self._rng.random() < 0.5)]
        value = {n: self._value(properties[n], depth + 1) for n in names}
        extra = schema.get("additionalProperties", {})
        for name in required:
            if name not in value:
                value[name] = self._value(extra, depth + 1)
        optional = [n for n in properties if n not in value]
        while len(value) < schema.get("minProperties", 0):
            name = optional.pop(0) if optional else f"key_{len(value)}"
            value[name] = self._value(properties.get(name, extra), depth + 1)
        return value

    def _array(self, schema: JSONObject, depth: int) -> list[Any]:
        low = int(schema.get("minItems", 0))
        high = int(schema.get("maxItems", max(low, 0 if depth > MAX_DEPTH else 3)))
        first = schema.get("prefixItems", [])
        size = self._rng.randint(max(low, min(len(first), high)), max(low, high))
        if schema.get("items") is False:
            size = min(size, len(first))
        values: list[Any] = []
        for _ in range(8 * size):
            if len(values) == size:
                break
            place = first[len(values)] if len(values) < len(first) else schema.get("items", {})
            value = self._value(place, depth + 1)
            if not schema.get("uniqueItems") or value not in values:
                values.append(value)
        return values

    def _integer(self, schema: JSONObject, depth: int) -> int:
        low, high = _bounds(schema)
        step = schema.get("multipleOf", 1)
        step = int(step) if step == int(step) else 1
        first, last = math.ceil(low / step), math.floor(high / step)
        # An open bound becomes the next integer inside.
        first += first * step == schema.get("exclusiveMinimum")
        last -= last * step == schema.get("exclusiveMaximum")
        return step * self._rng.randint(first, max(first, last))

    def _number(self, schema: JSONObject, depth: int) -> float:
        low, high = _bounds(schema)
        outside = (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum"))
        step = float(schema.get("multipleOf", 0))
        for _ in range(32):
            if step:
                value = step * self._rng.randint(math.ceil(low / step), math.floor(high / step))
            else:
                value = round(self._rng.uniform(low, high), 2)
            if low <= value <= high and value not in outside and (not step or (value / step).is_integer()):
                return value
        return self._rng.uniform(low, high)

    def _string(self, schema: JSONObject, depth: int) -> str:
        low = int(schema.get("minLength", 1))
        high = int(schema.get("maxLength", max(low, 12)))
        size = self._rng.randint(min(low, high), high)
        return "".join(self._rng.choices(_ALPHABET, k=size))


def _merge(left: JSONObject, right: JSONObject) -> JSONObject:
    """Both schemas at once; of a keyword that both have, `left` (the outer one) wins."""
    merged = {**right, **left}
    if "properties" in left and "properties" in right:
        merged["properties"] = {**right["properties"], **left["properties"]}
    if "required" in left and "required" in right:
        merged["required"] = list(dict.fromkeys([*left["required"], *right["required"]]))
    return merged


def _bounds(schema: JSONObject) -> tuple[float, float]:
    """(lowest, highest) number; a missing bound is put a span away from the other."""
    lows = [schema[k] for k in ("minimum", "exclusiveMinimum") if k in schema]
    highs = [schema[k] for k in ("maximum", "exclusiveMaximum") if k in schema]
    if lows:
        low = max(lows)
        return low, min(highs) if highs else low + _SPAN
    return (min(highs) - _SPAN, min(highs)) if highs else (-_SPAN, _SPAN)
