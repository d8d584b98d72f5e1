"""Comparison of calls: types, wording, extra arguments, order, matching."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.tool_calls import (
    ToolCall,
    alike,
    covers,
    greedy_matches,
    in_order,
    most_matches,
    plain_name,
    read_call,
    same_call,
    word_overlap,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("expected", "actual", "result"),
    [
        (1, 1, True),
        (1, 1.0, False),
        (1.0, 1, False),
        (1, True, True),
        (True, 1, False),
        (0.1 + 0.2, 0.3, True),
        (0.3, 0.301, False),
        (None, None, True),
        (None, 0, False),
        ("Berlin", "berlin", False),
        ("Berlin", "Berlin", True),
        ("", "", True),
        ("a red car", "the RED bus", True),
        ("a red car", "two blue buses", False),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": {"b": ["x"]}}, {"a": {"b": ["x"]}}, True),
        ({"a": {"b": ["x"]}}, {"a": {"b": ["y"]}}, False),
    ],
)
def test_alike(expected: Any, actual: Any, result: bool) -> None:
    assert alike(expected, actual) is result


def test_equal_texts_overlap_by_a_half_and_the_threshold_is_against_that() -> None:
    assert word_overlap("a b c", "c b a") == 0.5
    assert word_overlap("a a b", "a c") == 0.2
    assert word_overlap("a b", "c d") == 0.0
    assert alike("a b c d", "a x y z", string_threshold=0.125)
    assert not alike("a b c d", "a x y z", string_threshold=0.13)
    assert alike("a b", "c d", string_threshold=0.0)


@given(JSON)
def test_a_value_is_like_itself(value: Any) -> None:
    assert alike(value, value, string_threshold=0.5)


def test_deep_values_are_bounded() -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    assert not alike(deep, deep)


@pytest.mark.parametrize(
    ("item", "call"),
    [
        ({"name": "f", "arguments": '{"a": 1}'}, ToolCall("f", {"a": 1})),
        ({"name": "mcp__shop__f__g", "arguments": {"a": 1}}, ToolCall("f__g", {"a": 1})),
        ({"name": "f", "arguments": "{a"}, ToolCall("f", None)),
        ({"name": "f", "arguments": "[1]"}, ToolCall("f", None)),
        ({"name": "f", "arguments": "[" * 100_000}, ToolCall("f", None)),
        ({"name": None}, ToolCall("", None)),
    ],
)
def test_read_call(item: dict[str, Any], call: ToolCall) -> None:
    assert read_call(item) == call


def test_plain_name() -> None:
    assert [plain_name(name) for name in ("a__b", "mcp__a", "mcp__a__b")] == ["a__b", "mcp__a", "b"]


def test_same_call_and_covers() -> None:
    one, more = ToolCall("f", {"a": 1}), ToolCall("f", {"a": 1, "b": 2})
    assert same_call(one, one) and not same_call(one, more) and not same_call(one, ToolCall("g", {"a": 1}))
    assert not same_call(ToolCall("f", None), ToolCall("f", None))
    assert covers(one, more) and not covers(more, one)
    assert covers(ToolCall("f", {}), ToolCall("f", None))
    assert str(more) == 'f({"a": 1, "b": 2})'


def calls(*values: int) -> list[ToolCall]:
    return [ToolCall("f", {"a": value}) for value in values]


def test_order() -> None:
    assert in_order(calls(1, 2), calls(1, 2), same_call)
    assert not in_order(calls(1, 2), calls(2, 1), same_call)
    assert not in_order(calls(1, 2), calls(1, 2, 2), same_call)
    assert most_matches(calls(1, 2), calls(2, 1), same_call) == 2
    assert most_matches(calls(1, 1), calls(1, 2), same_call) == 1


def test_a_greedy_match_may_miss_what_the_best_one_finds() -> None:
    loose, tight = ToolCall("f", {}), ToolCall("f", {"a": 1})
    actual = [ToolCall("f", {"a": 1}), ToolCall("f", {})]
    assert greedy_matches([loose, tight], actual, covers) == 1
    assert most_matches([loose, tight], actual, covers) == 2


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=4))
def test_most_matches_is_the_best_of_all_assignments(table: list[list[bool]]) -> None:
    agree: Callable[[ToolCall, ToolCall], bool] = lambda e, a: table[int(e.name)][int(a.name)]  # noqa: E731
    expected = [ToolCall(str(i), {}) for i in range(len(table))]
    actual = [ToolCall(str(i), {}) for i in range(4)]
    best = max(
        sum(agree(e, a) for e, a in zip(expected, order, strict=False)) for order in itertools.permutations(actual)
    )
    assert most_matches(expected, actual, agree) == best
    assert greedy_matches(expected, actual, agree) <= best
