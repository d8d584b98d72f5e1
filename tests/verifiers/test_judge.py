"""Prompts of judges and what their replies say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.judge import Prompt, absolute, checked_prompt, equality, grade


@pytest.mark.parametrize(
    ("name", "fields"),
    [("equivalence", {"question", "gold", "answer"}), ("math_equivalence", {"question", "first", "second"})],
)
def test_built_in_prompts(name: str, fields: set[str]) -> None:
    prompt = Prompt.named(name)
    assert prompt.fields == fields
    assert "[[A=B]]" in prompt.text and "[[A!=B]]" in prompt.text
    assert len(prompt.digest) == 12


def test_a_prompt_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("{question}? {} {1.0} \\boxed{} {gold}")
    prompt = Prompt.named(file)
    assert prompt.fill(question="{gold}", gold="\\1", unused="x") == "{gold}? {} {1.0} \\boxed{} \\1"
    with pytest.raises(KeyError):
        prompt.fill(question="q")
    with pytest.raises(OSError, match="No such file"):
        Prompt.named("no_such_prompt")


def test_a_checked_prompt(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("{gold} {answer}")
    assert checked_prompt(str(file), fields=("gold", "answer")) == file
    assert checked_prompt("equivalence", fields=("question", "gold", "answer")) == "equivalence"
    with pytest.raises(ValueError, match=r"asks for \{answer\}; there are gold"):
        checked_prompt(file, fields=("gold",))
    file.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="is no prompt"):
        checked_prompt(file, fields=())
    with pytest.raises(ValueError, match=r"no prompt \.\./choice"):
        checked_prompt("../choice", fields=())


def test_digest_follows_the_text() -> None:
    assert Prompt("a").digest != Prompt("b").digest


def test_equality_labels() -> None:
    both = "not [[A!=B]], rather [[A=B]]"
    assert equality(both).equal is False
    assert equality(both, which="last").equal is True
    assert equality("[[A=B]] they are equivalent").equal is True
    assert equality("no label").equal is None
    assert equality("[[a=b]]").equal is None
    assert equality("[[a=b]]", ignore_case=True).equal is True
    assert equality("SAME", equal="SAME", not_equal="OTHER").label == "SAME"


def test_grades() -> None:
    assert grade("After all: B. Or C", "ABC") == "B"
    assert grade("B or C", "ABC", which="last") == "C"
    assert grade("incorrect", ("CORRECT", "INCORRECT"), ignore_case=True) == "INCORRECT"
    assert grade("nothing", "ABC") is None
    assert grade("nothing", ()) is None


def test_absolute_scores() -> None:
    assert absolute("7 of 10 points? No: 3", 0, 10) == 0.3
    assert absolute("Score: 4 of 5", 1, 5, after="Score:") == 0.75
    assert absolute("Score: 1. Score: 5", 1, 5, which="first", after="Score:") == 0.0
    assert absolute("Score: 6", 1, 5) is None
    assert absolute("no score 3", 0, 10, after="Score:") is None
    assert absolute("none", 0, 10) is None


@given(st.text())
def test_any_reply(reply: str) -> None:
    assert equality(reply).equal in (True, False, None)
    score = absolute(reply, 0, 10)
    assert score is None or 0 <= score <= 1
