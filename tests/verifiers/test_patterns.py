"""Patterns of rows: found alike in short and long texts, given up where a search has no end."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers import patterns
from verifiers.choice import extract_choice
from verifiers.choice_last import extract_last_choice
from verifiers.extract import by_patterns
from verifiers.format import lines_matching, markers
from verifiers.patterns import SHORT, Found, TooSlow, find, find_all, matching_lines
from verifiers.structured import violation

PUBLISHED = r"<final_answer>\s*(.+?)\s*</final_answer>"
SPACES = "<final_answer>" + " " * 20_000
"""Its search takes a time that grows with the cube of the spaces."""
OPTIONS = {"A": "one", "B": "two"}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.3)


@given(st.lists(st.sampled_from(["<b>", "</b>", "x", "\n", "\ud800", "é"]), max_size=40).map("".join))
def test_a_child_finds_what_this_process_finds(text: str) -> None:
    pattern, padding = r"<b>(x)?([^<]*)</b>", "-" * SHORT
    here, there = find_all(pattern, text), find_all(pattern, padding + text)
    assert here == there == [Found(m.group(), m.groups()) for m in re.finditer(pattern, text)]
    assert find(pattern, padding + text, "first") == find(pattern, text, "first") == next(iter(here), None)
    assert find(pattern, padding + text, "last") == find(pattern, text, "last") == (here[-1] if here else None)


def test_lines_and_flags_count_in_a_child_too() -> None:
    lines = ["- a", "b", "-c", "x" * SHORT]
    assert matching_lines(["^- .", "^x"], lines) == 2
    assert find("ANSWER: (.)", "answer: b" + " " * SHORT, "last", re.IGNORECASE) == Found("answer: b", ("b",))


@pytest.mark.parametrize("text", ["", "x" * (SHORT + 1)])
def test_an_invalid_pattern_is_the_callers_error(text: str) -> None:
    with pytest.raises(re.error):
        find("(", text, "last")
    with pytest.raises(re.error):
        find_all("(", text)
    with pytest.raises(re.error):
        matching_lines(["("], [text])


def test_a_search_without_end_is_given_up_and_the_next_one_works(impatient: None) -> None:
    started = time.monotonic()
    with pytest.raises(TooSlow):
        find(PUBLISHED, SPACES, "last", re.DOTALL)
    with pytest.raises(TooSlow):
        matching_lines(["^(a+)+$"], ["a" * SHORT + "b"])
    assert find(PUBLISHED, SPACES[:14] + "x" * SHORT + "</final_answer>", "last") is not None
    assert time.monotonic() - started < 20


def test_it_is_no_answer_of_any_verifier(impatient: None) -> None:
    evil = r"(\w+\s?)+!"
    text = "word " * 100 + "\\boxed{A}"
    for choice in (
        extract_choice(text, OPTIONS, patterns=[evil]),
        extract_last_choice(text, OPTIONS, patterns=[evil]),
    ):
        assert choice.letter is None
        assert "no end" in choice.note
    with pytest.raises(TooSlow):
        by_patterns(SPACES, [PUBLISHED], "last", flags=re.DOTALL)
    assert not lines_matching(text, [evil]).fits
    assert not markers(text + "[1]", ["[1]"], [evil]).fits


def test_patterns_of_schemas_too(impatient: None) -> None:
    schema: dict[str, Any] = {"type": "array", "items": {"type": "string", "pattern": r"^(\w+\s?)+$"}}
    assert violation(["two words"], schema) == ""
    assert "does not match" in violation(["!"], schema)
    started = time.monotonic()
    assert "TooSlow" in violation(["word " * 100 + "!"] * 50, schema)
    assert time.monotonic() - started < 20
