"""Messages that differ only in their particulars have one template; others do not."""

from __future__ import annotations

import pytest

from gym_mcp.diagnosis.answers import plain, stated
from gym_mcp.diagnosis.prompts import cut_prompts
from gym_mcp.diagnosis.templates import template


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no answer within 30.0 s", "no answer within 12.5 s"),
        ("no event_id 'aby'", "no event_id 'kk-2'"),
        ("HTTP 503 from http://127.0.0.1:80/a", "HTTP 502 from http://10.0.0.1:81/b?c=1"),
        ("/tmp/a/b.txt: not found", "/var/lib/c.txt: not found"),
        ("id 3f9a1c77b2 is gone", "id 0017abcd22 is gone"),
        ("at 2025-05-22 10:00", "at 2024-01-02 23:59"),
    ],
)
def test_particulars_are_abstracted(one: str, other: str) -> None:
    assert template(one) == template(other)


def test_different_messages_stay_apart() -> None:
    assert template("event not found") != template("task not found")


@pytest.mark.parametrize(
    ("answer", "core"),
    [
        ("$1,234.50", "2469/2"),
        ("**B**.", "b"),
        ("\\frac{1}{2}", "1/2"),
        ("0.5", "1/2"),
        ("\\text{(C)}", "c"),
        ("  Paris ", "paris"),
        ("50\\%", "50"),
    ],
)
def test_answers_without_their_dress(answer: str, core: str) -> None:
    assert plain(answer) == core


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so \\boxed{a{b}c} it is", "a{b}c"),
        ("long\n**Answer:** D", "D"),
        ("The answer is 12.", "12."),
        ("first\nlast", "last"),
        ("", ""),
    ],
)
def test_what_a_text_states(text: str, answer: str) -> None:
    assert stated(text) == answer


def test_prompts_that_stop_in_the_middle() -> None:
    whole = [f"How many are {n} and {n + 1} together?" for n in range(20)]
    assert cut_prompts(whole) == []
    assert cut_prompts([*whole, "How many are 7 and 8 toge"]) == [20]
