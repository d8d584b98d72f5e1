"""What is graded: conventions of text, thoughts, first and last, and the forms of an answer."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.extract import (
    Graded,
    Thoughts,
    Which,
    by_patterns,
    graded_text,
    grid,
    json_list,
    label,
    last_line,
    number,
    tagged,
    without_thoughts,
)


def message(*parts: str, role: str = "assistant") -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "output_text", "text": p} for p in parts]}


ITEMS = [
    message("one"),
    {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "1"},
    message("not me", role="user"),
    message(" two", "three "),
]


@pytest.mark.parametrize(
    ("graded", "text"),
    [("all", "one twothree "), ("lines", "one\n twothree"), ("last_message", " twothree "), ("last_item", " two")],
)
def test_graded_text(graded: Graded, text: str) -> None:
    assert graded_text(ITEMS, graded) == text


@pytest.mark.parametrize("graded", ["all", "lines", "last_message", "last_item"])
def test_nothing_is_an_empty_text(graded: Graded) -> None:
    assert graded_text([], graded) == ""
    assert graded_text([message()], graded) == ""
    assert graded_text([message(role="user")], graded) == ""


def test_a_trailing_item_that_is_no_message_empties_the_last_item() -> None:
    reasoning = {"type": "reasoning", "summary": []}
    assert graded_text([message("answer"), reasoning], "last_item") == ""
    assert graded_text([message("answer"), reasoning], "last_message") == "answer"


def test_content_may_be_a_text() -> None:
    assert graded_text([{"role": "assistant", "content": "plain"}], "last_item") == "plain"


@pytest.mark.parametrize(
    ("text", "strip", "strip_or_empty", "refuse"),
    [
        ("plain", "plain", "plain", "plain"),
        ("<think>a</think> b", "b", "b", None),
        ("a</think> b", "b", "b", None),
        ("<think>a</think><THINK>c</THINK>b", "b", "b", None),
        ("<think>a b", "<think>a b", "", None),
        ("<think>a</think> b <think> c", "b <think> c", "", None),
        ("<thinking>a</thinking>b", "b", "b", None),
    ],
)
def test_thoughts(text: str, strip: str, strip_or_empty: str, refuse: str | None) -> None:
    assert without_thoughts(text, "keep") == text
    assert without_thoughts(text, "strip") == strip
    assert without_thoughts(text, "strip_or_empty") == strip_or_empty
    assert without_thoughts(text, "refuse") == refuse


@pytest.mark.parametrize(("which", "expected"), [("first", "YES"), ("last", "NO")])
def test_label(which: Which, expected: str) -> None:
    assert label("YES ... NO", ("NO", "YES"), which) == expected
    assert label("yes ... no", ("NO", "YES"), which) is None
    assert label("yes ... no", ("NO", "YES"), which, ignore_case=True) == expected


def test_of_labels_at_one_place_the_longer_counts() -> None:
    assert label("[[A!=B]]", ("[[A", "[[A!=B]]"), "first") == "[[A!=B]]"
    assert label("x", (), "first") is None


def test_patterns_are_tried_in_order() -> None:
    text = "((3)) then <a>4</a> then <a> 5 </a>"
    assert by_patterns(text, [r"<b>(.*?)</b>", r"<a>(.*?)</a>"], "last") == "5"
    assert by_patterns(text, [r"\(\((.*?)\)\)"], "first") == "3"
    assert by_patterns(text, [r"\d"], "first") == "3"
    assert by_patterns(text, [], "first") is None


def test_tags() -> None:
    text = "<answer> 1\n</answer> <Answer>2</Answer> <answer>3"
    assert tagged(text, "answer", "first") == "1"
    assert tagged(text, "answer", "last") == "2"
    assert tagged("<answer>3", "answer", "last") is None


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("from 3 to 4.", "3", "4."),
        ("1,234.5 and -7e3", "1,234.5", "-7e3"),
        ("x2 is not one, .5 is", ".5", ".5"),
        ("no number", None, None),
        ("v1.2", None, None),
        ("1,2", "1", "2"),
    ],
)
def test_numbers(text: str, first: str | None, last: str | None) -> None:
    assert number(text, "first") == first
    assert number(text, "last") == last


def test_last_line() -> None:
    assert last_line("a\n  b \n\n \t\n") == "b"
    assert last_line("a") == "a"
    assert last_line(" \n ") == ""


def test_json_lists() -> None:
    text = 'see [1] and [{"a": [2]}, 3] or [4, [5]]'
    assert json_list(text, "first") == [1]
    assert json_list(text, "last") == [4, [5]]
    assert json_list(text, "first", of_objects=True) == [{"a": [2]}, 3]
    assert json_list("[broken [] ", "first") == []
    assert json_list("none", "first") is None


def test_grids() -> None:
    text = "[[1, 2], [3]] then [[1,2],[3,4]] then [ [5] ] and [[true]] [[]]"
    assert grid(text, "first") == [[1, 2], [3, 4]]
    assert grid(text, "last") == [[5]]
    assert grid("[1, 2]", "first") is None


@pytest.mark.parametrize("text", ["[" * 100_000, '["' * 50_000, "[1," * 50_000, "9" * 200_000, "1," * 100_000])
def test_hostile_text_takes_no_time(text: str) -> None:
    started = time.process_time()
    json_list(text, "last", of_objects=True)
    grid(text, "last")
    number(text, "last")
    assert time.process_time() - started < 5


@given(st.text(), st.sampled_from(["keep", "strip", "strip_or_empty"]))
def test_thoughts_of_any_text(text: str, policy: Thoughts) -> None:
    assert isinstance(without_thoughts(text, policy), str)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<THINKING>", "</thinking>", "a", "\n"])).map("".join))
def test_thoughts_in_pairs_go_as_a_pattern_would_take_them(text: str) -> None:
    pairs = re.compile(r"<(think|thinking)>.*?</\1>", re.DOTALL | re.IGNORECASE)
    lone = re.compile(r".*</(?:think|thinking)>", re.DOTALL | re.IGNORECASE)
    assert without_thoughts(text, "strip") == lone.sub("", pairs.sub("", text)).strip()


@given(st.lists(st.sampled_from(["<b>", "</b>", "<B>", "a", "\n"])).map("".join))
def test_tags_are_found_as_a_pattern_would_find_them(text: str) -> None:
    found = re.findall(r"<b>(.*?)</b>", text, re.DOTALL | re.IGNORECASE)
    assert tagged(text, "b", "first") == (found[0].strip() if found else None)
    assert tagged(text, "b", "last") == (found[-1].strip() if found else None)


@pytest.mark.parametrize("piece", ["<think>", "<b>", "<think></thinking>", "<thinking></think>", "</b>"])
def test_tags_that_nobody_closes_take_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    start = time.process_time()
    without_thoughts(text, "strip")
    tagged(text, "b", "last")
    assert time.process_time() - start < 4.0
