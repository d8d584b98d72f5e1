"""Comparison of the tool calls that a model made with the expected ones: names, arguments, order, number."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

FLOAT_TOLERANCE: Final = 1e-6
_MAX_DEPTH: Final = 100


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call by name. `arguments` is None when they were no JSON object."""

    name: str
    arguments: Mapping[str, Any] | None

    def __str__(self) -> str:
        return f"{self.name}({json.dumps(self.arguments, ensure_ascii=False, default=str)})"


def read_call(item: Mapping[str, Any]) -> ToolCall:
    """The call of a Responses `function_call` item, or of `{"name", "arguments"}`; arguments as object or text.

    An `mcp__server__` in front of the name is taken off: calls recorded over MCP and over HTTP read the same.
    """
    name, raw = item.get("name"), item.get("arguments")
    try:
        arguments = json.loads(raw) if isinstance(raw, str) else raw
    except (ValueError, RecursionError):
        arguments = None
    return ToolCall(
        plain_name(name) if isinstance(name, str) else "", arguments if isinstance(arguments, dict) else None
    )


def plain_name(name: str) -> str:
    """A tool's name without the `mcp__server__` that some MCP clients put in front."""
    parts = name.split("__", 2)
    return parts[2] if len(parts) == 3 and parts[0] == "mcp" else name


def alike(expected: Any, actual: Any, *, string_threshold: float = 0.1) -> bool:
    """Whether two JSON values agree, tolerant of wording.

    Types must agree (1 is not 1.0; a boolean may stand where an integer is expected). Objects have the same keys,
    lists the same length and order. Floats may differ by less than `FLOAT_TOLERANCE`. A string of less than two
    words must be equal; a longer one must reach `string_threshold` in `word_overlap`. Too deeply nested values
    do not agree.
    """
    return _alike(expected, actual, string_threshold, _MAX_DEPTH)


def _alike(expected: Any, actual: Any, threshold: float, depth: int) -> bool:
    if not isinstance(actual, type(expected)) or not depth:
        return False
    if isinstance(expected, dict):
        return expected.keys() == actual.keys() and all(
            _alike(value, actual[key], threshold, depth - 1) for key, value in expected.items()
        )
    if isinstance(expected, list):
        pairs = zip(expected, actual, strict=False)
        return len(expected) == len(actual) and all(_alike(e, a, threshold, depth - 1) for e, a in pairs)
    if isinstance(expected, float):
        return bool(expected == actual or abs(expected - actual) < FLOAT_TOLERANCE)
    if isinstance(expected, str) and len(expected.split()) >= 2:
        return word_overlap(expected, actual) >= threshold
    return bool(expected == actual)


def word_overlap(first: str, second: str) -> float:
    """Words in common, as multisets with case folded, over the words of both: 0.5 for equal texts."""
    one, two = first.lower().split(), second.lower().split()
    common = (Counter(one) & Counter(two)).total()
    return common / (len(one) + len(two)) if one or two else 0.5


def same_call(expected: ToolCall, actual: ToolCall, *, string_threshold: float = 0.1) -> bool:
    """Whether a call has the expected name, and arguments that are `alike`."""
    if expected.name != actual.name or expected.arguments is None or actual.arguments is None:
        return False
    return alike(expected.arguments, actual.arguments, string_threshold=string_threshold)


def covers(expected: ToolCall, actual: ToolCall) -> bool:
    """Whether a call has the expected name and every expected argument with an equal value; it may have more."""
    given, wanted = actual.arguments or {}, expected.arguments or {}
    return expected.name == actual.name and all(key in given and given[key] == wanted[key] for key in wanted)


def greedy_matches(
    expected: Sequence[ToolCall], actual: Sequence[ToolCall], agree: Callable[[ToolCall, ToolCall], bool]
) -> int:
    """How many expected calls find a call, each taking the first that agrees and is left."""
    left = list(actual)
    found = 0
    for wanted in expected:
        index = next((i for i, call in enumerate(left) if agree(wanted, call)), None)
        if index is not None:
            del left[index]
            found += 1
    return found


def most_matches(
    expected: Sequence[ToolCall], actual: Sequence[ToolCall], agree: Callable[[ToolCall, ToolCall], bool]
) -> int:
    """The most expected calls that can be matched with calls one to one, in any order (maximum matching)."""
    edges = [[i for i, call in enumerate(actual) if agree(wanted, call)] for wanted in expected]
    taken_by: dict[int, int] = {}

    def place(wanted: int, tried: set[int]) -> bool:
        for index in edges[wanted]:
            if index not in tried:
                tried.add(index)
                if index not in taken_by or place(taken_by[index], tried):
                    taken_by[index] = wanted
                    return True
        return False

    return sum(place(wanted, set()) for wanted in range(len(expected)))


def in_order(
    expected: Sequence[ToolCall], actual: Sequence[ToolCall], agree: Callable[[ToolCall, ToolCall], bool]
) -> bool:
    """Whether the calls are the expected ones, in the expected order and number."""
    return len(expected) == len(actual) and all(map(agree, expected, actual))
