"""What differs between two runs, from the identities in their manifests: the possible causes of a difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gym_mcp.types import JSONObject

_CAUSES: Final = {
    "environment_name": "environment",
    "environment": "environment version",
    "options": "environment options",
    "verifier": "verifier",
    "tasks": "tasks",
    "benchmark": "benchmark",
    "harness": "harness",
    "harness_options": "harness options",
    "harness_identity": "harness options",
    "model": "model",
    "sampling": "sampling",
    "limits": "limits",
    "judge": "judge",
    "seed": "seed",
    "repeats": "repeats",
}
NO_CAUSE: Final = frozenset({"seed", "repeats", "benchmark", "tasks"})
"""Seeds and repeats are luck and precision; what differs in the tasks is found by looking at the tasks."""
_LIMITS_OF_LUCK: Final = frozenset({"limits.seconds"})


def changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[JSONObject]:
    """Each field of two identities that differs: `what` (model, harness, skill set, ...), `field`, `a`, `b`."""
    one, other = dict(_leaves(a)), dict(_leaves(b))
    return [
        {"what": _cause(field), "field": field, "a": one.get(field), "b": other.get(field)}
        for field in sorted({*one, *other})
        if one.get(field) != other.get(field)
    ]


def causes(found: list[JSONObject]) -> list[str]:
    """The different things among the changes that may move a score. A new version of what was exchanged is not one
    more: another environment has other code and another verifier."""
    names = {c["what"] for c in found if c["what"] not in NO_CAUSE and c["field"] not in _LIMITS_OF_LUCK}
    if "environment" in names:
        names -= {"environment version", "environment options", "verifier"}
    if "harness" in names:
        names -= {"harness options"}
    return sorted(names)


def _cause(field: str) -> str:
    if "skill" in field.lower():
        return "skill set"
    if field.startswith("harness_identity") and "prompt" in field.lower():
        return "prompt"
    top = field.partition(".")[0]
    return _CAUSES.get(top, top.replace("_", " "))


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner
