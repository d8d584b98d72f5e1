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
