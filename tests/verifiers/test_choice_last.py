"""Reading the last word on a letter."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.choice_last import extract_last_choice

OPTIONS = {"A": "10 eV", "B": "20 eV", "C": "30 eV", "D": "40 eV"}


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        (r"\boxed{B}", "B"),
        (r"\boxed{A}, no: \boxed{B}", "B"),
        (r"\boxed{\text{B}}", "B"),
        (r"\boxed{(C)}", "C"),
        (r"\boxed{B: 20 eV}", "B"),
        (r"\boxed{Option A, rather C}", "C"),
        (r"\boxed{DNA}", None),
        (r"\boxed{b}", None),
        (r"\boxed{E}", None),
        (r"\boxed{E} Answer: B", None),
        (r"\boxed{42} Answer: B", "B"),
        (r"Answer: D then \boxed{C}", "C"),
        ("Answer: B", "B"),
        ("answer: b", "B"),
        ("**Answer:** B", "B"),
        ("**Answer: C**", "C"),
        ("Answer: (C)", "C"),
        (r"Answer: $\mathbf{D}$", "D"),
        ("Answer: A\nAnswer: B.", "B"),
        ("Answer: Because of B", None),
        ("Answer: E", None),
        ("**Answer:**\n\nB", "B"),
        ("The answer is B", None),
        ("B", None),
        ("", None),
    ],
)
def test_letters(text: str, letter: str | None) -> None:
    assert extract_last_choice(text, OPTIONS).letter == letter


def test_patterns_come_first() -> None:
    assert extract_last_choice(r"<<b>> \boxed{A}", OPTIONS, patterns=["<<(.)>>"]).letter == "B"
    assert extract_last_choice(r"<<z>> \boxed{A}", OPTIONS, patterns=["<<(.)>>"]).letter is None
    assert extract_last_choice(r"\boxed{A}", OPTIONS, patterns=["<<(.)>>"]).letter == "A"


@pytest.mark.parametrize(
    "text", ["answer" + " " * 100_000, "answer:" * 50_000, "\\boxed{" * 50_000, "{" * 200_000]
)
def test_hostile_text_takes_no_time(text: str) -> None:
    started = time.monotonic()
    extract_last_choice(text, OPTIONS)
    assert time.monotonic() - started < 5


@given(st.text())
def test_any_text(text: str) -> None:
    choice = extract_last_choice(text, OPTIONS)
    assert choice.letter is None or choice.letter in OPTIONS
    assert choice.note
