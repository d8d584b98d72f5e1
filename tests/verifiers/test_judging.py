"""Votes, both orders, groups: what is made of a judge's replies, and of those that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support import run
from verifiers.judge import Prompt, absolute, grade
from verifiers.judging import PREFERENCES, Comparison, compare_group, pairwise, pointwise, preference
from verifiers.votes import Votes, mean_of, repeat_agreement

PAIR = Prompt("{question}|{first}|{second}")


class Oracle:
    """Answers by a function of the prompt and the vote, and keeps what it was asked."""

    def __init__(self, say: Callable[[str, int], str]) -> None:
        self.say = say
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, prompt: str, /, *, vote: int = 0, **params: Any) -> str:
        self.asked.append((prompt, vote))
        return self.say(prompt, vote)


def by_length(prompt: str, vote: int) -> str:
    """Prefers the longer answer, whatever the order."""
    _, first, second = prompt.split("|")
    return "[[C]]" if len(first) == len(second) else "[[A]]" if len(first) > len(second) else "[[B]]"


def test_votes() -> None:
    votes = Votes(("A", None, "B", "A"))
    assert (votes.majority, votes.tied, votes.unreadable) == ("A", False, 1)
    assert votes.counts == {"A": 2, "B": 1} and votes.agreement == pytest.approx(2 / 3)
    tie = Votes(("A", "B"))
    assert tie.majority is None and tie.tied and tie.leaders == ["A", "B"]
    nothing: Votes[str] = Votes((None, None))
    assert nothing.majority is None and not nothing.tied and nothing.agreement is None
    assert mean_of([1.0, None, 0.0]) == 0.5 and mean_of([None]) is None
    assert repeat_agreement([("a", "a", "b"), ("a", "a"), ("a", None)]) == pytest.approx((1 / 3 + 1) / 2)
    assert repeat_agreement([("a",)]) is None


def test_pointwise_asks_as_often_as_told() -> None:
    ask = Oracle(lambda prompt, vote: ["grade A", "hmm", "grade B"][vote])
    votes = run(lambda: pointwise(ask, "p", lambda reply: grade(reply, "AB"), votes=3))
    assert votes == Votes(("A", None, "B")) and [vote for _, vote in ask.asked] == [0, 1, 2]
    rated = run(lambda: pointwise(Oracle(lambda *_: "Rating: 7"), "p", lambda r: absolute(r, 1, 10)))
    assert rated.readable == pytest.approx([6 / 9])


@pytest.mark.parametrize(
    ("reply", "value"), [("[[A]]", 1.0), ("no, [[A]]: [[B]]", 0.0), ("[[C]]", 0.5), ("A is better", None)]
)
def test_preference(reply: str, value: float | None) -> None:
    assert preference(reply) == value


def test_finer_labels_are_worth_more() -> None:
    labels = {"[[A>>B]]": 1.0, "[[A>B]]": 0.75, **PREFERENCES}
    assert preference("so [[A>B]]", labels) == 0.75 and preference("so [[A>>B]]", labels) == 1.0


def test_both_orders_that_agree() -> None:
    ask = Oracle(by_length)
    found = run(lambda: pairwise(ask, PAIR, "long answer", "short", fields={"question": "q"}))
    assert (found.value, found.consistent) == (1.0, True)
    assert [prompt for prompt, _ in ask.asked] == ["q|long answer|short", "q|short|long answer"]
    assert found.first_shown == (1, 2)


@pytest.mark.parametrize("label", ["[[A]]", "[[B]]"])
def test_a_judge_that_goes_by_position_decides_nothing(label: str) -> None:
    found = run(lambda: pairwise(Oracle(lambda *_: label), PAIR, "x", "y", fields={"question": ""}))
    assert (found.value, found.consistent) == (0.5, False)
    once = run(lambda: pairwise(Oracle(lambda *_: label), PAIR, "x", "y", fields={"question": ""}, swap=False))
    assert (once.value, once.consistent) == (PREFERENCES[label], None)


def test_a_tie_in_one_order_only_is_no_agreement() -> None:
    assert Comparison(Votes((1.0,)), Votes((0.5,))).value == 0.5
    assert Comparison(Votes((1.0,)), Votes((0.5,))).consistent is False
    assert Comparison(Votes((0.5,)), Votes((0.5,))).consistent is True


def test_what_cannot_be_read_is_no_verdict() -> None:
    assert Comparison(Votes((None,)), Votes((0.0,))).value is None
    assert Comparison(Votes((None, 1.0)), Votes((0.0, 0.0))).value == 1.0
    assert Comparison(Votes((None,)), None).value is None


@pytest.mark.parametrize(("schedule", "asked"), [("all", 12), ("ring", 8), ("pivot", 6)])
def test_a_group(schedule: Any, asked: int) -> None:
    ask = Oracle(by_length)
    answers = ["1", "22", "333", "4444"]
    found = run(lambda: compare_group(ask, PAIR, answers, schedule=schedule, fields={"question": ""}))
    assert len(ask.asked) == asked and found.inconsistent == found.undecided == 0
    assert found.win_rates[3] == 1.0 and found.win_rates[0] == 0.0
    if schedule == "all":
        assert found.shares == sorted(found.shares) and found.win_rates == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_a_group_with_equal_answers_and_mute_replies() -> None:
    ask = Oracle(lambda prompt, vote: "?" if "mute" in prompt else "[[A]]")
    answers = ["same", " same ", "mute", "z"]
    found = run(lambda: compare_group(ask, PAIR, answers, fields={"question": ""}))
    assert found.undecided == 3 and found.inconsistent == 2 and found.win_rates[2] is None
    assert found.strengths == pytest.approx([0.0] * 4, abs=1e-9)
    assert len(ask.asked) == 10


def test_the_built_in_prompts_fit() -> None:
    assert Prompt.named("pairwise").fields == {"question", "first", "second"}
    assert all(label in Prompt.named("pairwise").text for label in PREFERENCES)
    assert Prompt.named("pointwise").fields == {"question", "answer"}
