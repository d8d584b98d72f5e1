"""JSON Schema (draft 2020-12): the strict form of a schema, and what in a value departs from one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError, validators
from jsonschema.exceptions import best_match

from verifiers.patterns import find


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and find(pattern, instance, "first") is None:
        yield ValidationError(f"{instance!r:.100} does not match {pattern!r}")


_Validator: Final = validators.extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]
_DATA: Final = ("enum", "const", "default", "examples", "required")
_NAMED: Final = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")


def strictened(schema: Any) -> Any:
    """A copy in which every object must have all of its properties and no others.

    As in the published evaluation, this goes down through schemas that are values of keys; those inside lists
    (`anyOf`, `allOf`, `prefixItems`) stay as they are.
    """
    if not isinstance(schema, dict):
        return schema
    strict = {key: _part(key, value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        strict["required"] = list(schema["properties"])
        strict["additionalProperties"] = False
    return strict


def _part(key: str, value: Any) -> Any:
    if key in _DATA:
        return value
    if key in _NAMED and isinstance(value, dict):
        return {name: strictened(schema) for name, schema in value.items()}
    return strictened(value)


def violation(value: Any, schema: Mapping[str, Any]) -> str:
    """Where and how `value` does not fit `schema`; empty when it does. `format` is not enforced. Never raises."""
    try:
        error = best_match(_Validator(schema).iter_errors(value))
    except Exception as e:  # keys that are no strings, recursion through $ref, bad patterns, slow ones
        return f"cannot be validated ({type(e).__name__})"
    if error is None:
        return ""
    where = ".".join(str(part) for part in error.absolute_path)
    return f"{where + ': ' if where else ''}{error.message}"[:300]
