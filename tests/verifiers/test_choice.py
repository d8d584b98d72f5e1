"""Reading option letters: each mode's rule, its traps, and text that is out to break it."""

from __future__ import annotations

import ast
import time
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiers import choice
from verifiers.choice import Box, Mode, boxes, extract_choice

OPTIONS = {"A": "iron ore", "B": "copper", "C": "E. coli", "D": "iron", "E": "Tin  foil"}
MODES = get_args(Mode)


def letter(text: str, mode: Mode, box: Box = "first", *patterns: str) -> str | None:
    return extract_choice(text, OPTIONS, mode, box=box, patterns=patterns).letter


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        (r"\boxed{B}", "B", "B"),
        (r"It is \[ \boxed{ B } \]", "B", "B"),
        (r"\boxed{{B}}", "B", "B"),
        (r"\boxed{(B).}", "B", "B"),
        (r"\boxed{\text{B}}", "B", "B"),
        (r"\boxed{\mathbf{\text{ B }}}", "B", "B"),
        (r"\boxed{\boxed{B}}", "B", "B"),
        (r"\boxed{A} no, \boxed{B}", "A", "B"),
        (r"\boxed{} first, then \boxed{B}", "B", "B"),
        (r"\boxed{B} and \boxed{}", "B", None),
        (r"\boxed{B: copper}", None, "B"),
        ("\\boxed{\nB) copper\n}", None, "B"),
        (r"\boxed{b}", None, None),
        (r"\boxed{AB}", None, None),
        (r"\boxed{A, B}", None, None),
        (r"\boxed{A \boxed{B}}", None, None),
        (r"\boxed{ \boxed{A} \boxed{B}", "A", "B"),
        (r"\boxed{ÄB}", None, None),
        (r"\boxed{Z}", None, None),
        (r"\boxed{copper}", None, None),
        (r"\boxed{B", None, None),
        (r"\fbox{B}", None, None),
        (r"B", None, None),
        ("", None, None),
        (r"\boxed{E. coli}", None, None),
    ],
)
def test_strict(text: str, first: str | None, last: str | None) -> None:
    mode: Mode = "strict_single_letter_boxed"
    assert (letter(text, mode, "first"), letter(text, mode, "last")) == (first, last)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{B}", "B"),
        (r"\boxed{COPPER}", "B"),
        (r"\boxed{it is tin foil}", "E"),
        (r"\boxed{\text{E. coli}}", "C"),
        (r"\boxed{iron ore}", None),
        (r"\boxed{copper or E. coli}", None),
        (r"\boxed{gold}", None),
        ("copper", None),
    ],
)
def test_lenient_boxed(text: str, expected: str | None) -> None:
    assert letter(text, "lenient_boxed") == letter(text, "lenient_boxed", "last") == expected


@pytest.mark.parametrize(
    ("text", "plain", "markdown"),
    [
        ("Answer: B", "B", "B"),
        ("answer : b", "B", "B"),
        ("Answer: (B).", "B", "B"),
        (r"Answer: \boxed{B}", "B", "B"),
        (r"Answer: $\text{B}$", "B", "B"),
        ("Answer: copper", "B", "B"),
        ("Answer: E. coli", "C", "C"),
        ("Answer: A\nAnswer: B", "A", "B"),
        ("Answer: B\nAnswer: none", "B", "B"),
        ("Answer: none\nAnswer: B", None, "B"),
        ("**Answer:** B", "B", "B"),
        ("**Answer**: **B**", None, "B"),
        ("**Answer:** B (copper)", None, "B"),
        ("Answer: D is right", None, "D"),
        ("Answer: A or B", None, None),
        ("Answer: A/B", None, None),
        ("Answer: A and B", None, None),
        ("Answer: A, A", None, "A"),
        ("Answer: A metal, surely", None, None),
        ("Answer: Z", None, None),
        ("Answer:\nB", "B", "B"),
        ("**Answer:**\nB", None, None),
        ("Answer:", None, None),
        ("B", None, None),
    ],
)
def test_answer_colon(text: str, plain: str | None, markdown: str | None) -> None:
    found = letter(text, "lenient_answer_colon"), letter(text, "lenient_answer_colon_md")
    assert found == (plain, markdown)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Final Choice: B", "B"),
        ("final choice: b", "B"),
        ("Final Choice: A. No: Final Choice: B", "B"),
        ("Final Choice: Z", "Z"),
        ("pick=copper;", "B"),
        ("pick=lead;", None),
        (r"Final Choice - \boxed{B}", "B"),
    ],
)
def test_patterns_come_before_the_mode(text: str, expected: str | None) -> None:
    patterns = (r"Final Choice:\s*([A-Z])", r"pick=([^;]*);")
    assert letter(text, "strict_single_letter_boxed", "first", *patterns) == expected


def test_earlier_patterns_win() -> None:
    assert letter("x=A y=B", "lenient_boxed", "first", r"y=(.)", r"x=(.)") == "B"


def test_notes_say_why() -> None:
    notes = {
        text: extract_choice(text, OPTIONS).note for text in (r"\boxed{B}", r"\boxed{Z}", r"\boxed{or}", "nothing")
    }
    assert notes == {
        r"\boxed{B}": "B in a box",
        r"\boxed{Z}": "the box says Z, which is no option",
        r"\boxed{or}": "no box holds a single capital letter",
        "nothing": "no closed \\boxed{}",
    }


def test_boxes_are_balanced_and_in_order() -> None:
    assert boxes(r"a \boxed{1 \frac{2}{3} \{} b \boxed {x \boxed{y}} } \boxed{z") == [
        r"1 \frac{2}{3} \{",
        r"x \boxed{y}",
    ]
    assert boxes(r"\boxed{a \boxed{b} \boxed{c}") == ["b", "c"]


_PIECES = st.sampled_from(
    [
        "\\boxed{",
        "}",
        "{",
        "\\text{",
        "\\",
        "Answer:",
        "**",
        "A",
        "b",
        " or ",
        "/",
        "copper",
        "\n",
        "\x00",
        "é",
        "\ud800",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(_PIECES, st.text(max_size=4)), max_size=40).map("".join))
def test_no_text_raises_and_only_options_come_back(text: str) -> None:
    for mode in MODES:
        for box in get_args(Box):
            found = extract_choice(text, OPTIONS, mode, box=box)
            assert found.letter is None or found.letter in OPTIONS
            assert found.note


@pytest.mark.parametrize(
    "piece", ["\\boxed{", "\\boxed{A", "\\boxed{\\text{", "}", "Answer: A or ", "Answer: **", "A " * 9]
)
def test_long_hostile_text_is_read_in_linear_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    start = time.process_time()
    for mode in MODES:
        for box in get_args(Box):
            extract_choice(text, OPTIONS, mode, box=box)
            extract_choice(text + "}" * 50_000, OPTIONS, mode, box=box)
    assert time.process_time() - start < 4.0


def test_it_imports_nothing_of_gym_mcp() -> None:
    tree = ast.parse(Path(choice.__file__ or "").read_text(encoding="utf-8"))
    modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert modules == {"__future__", "collections.abc", "dataclasses", "typing", "verifiers.patterns"}
