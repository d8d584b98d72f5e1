"""A typing error gets a hint, and never a long one."""

from __future__ import annotations

import pytest

from gym_mcp.suggest import did_you_mean

KNOWN = ["mcqa", "math", "counter"]


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("mcq", KNOWN, "; did you mean `mcqa`?"),
        ("conter", KNOWN, "; did you mean `counter`?"),
        ("zzz", KNOWN, "; known: mcqa, math, counter"),
        ("zzz", [], ""),
        ("zzz", [f"name{n}" for n in range(12)], "; known: " + ", ".join(f"name{n}" for n in range(12))),
        ("zzz", [f"name{n}" for n in range(13)], ""),
        ("", KNOWN, "; known: mcqa, math, counter"),
    ],
)
def test_a_hint(word: str, known: list[str], hint: str) -> None:
    assert did_you_mean(word, iter(known)) == hint


def test_the_start_of_a_long_name_is_enough_when_only_one_begins_so() -> None:
    assert did_you_mean("workplac", ["workplace_assistant", "mcqa"]) == "; did you mean `workplace_assistant`?"
    assert "workplace_assistant" not in did_you_mean("wo", ["workplace_assistant", *(f"e{i}" for i in range(20))])
    assert "did you mean" not in did_you_mean(
        "example", ["example_single_tool_call", "example_multi_step_of_many"]
    )
