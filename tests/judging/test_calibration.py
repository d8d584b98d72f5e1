"""Calibration of judges whose faults are known: each number must show the fault that it is there for."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from gym_mcp.errors import JudgeError, UsageError
from gym_mcp.judge import Hearing, Judge, RecordedJudge, hearing
from gym_mcp.judging.calibrate import Judged, judge_all
from gym_mcp.judging.calibration import calibration
from gym_mcp.judging.examples import Example, load_examples, reading
from gym_mcp.metrics.agreement import cohen_kappa, krippendorff_alpha
from gym_mcp.types import JSONObject
from tests.support import run
from verifiers.judge import Prompt

PAIR, ONE = Prompt("{first}|{second}"), Prompt("{answer}")


class Scripted(Judge):
    """A judge whose word is a function of prompt and vote."""

    spec = "scripted"

    def __init__(self, say: Callable[[str, int], str]) -> None:
        self.say = say

    async def ask(self, prompt: Any, *, vote: int = 0, **params: Any) -> str:
        return self.say(prompt, vote)


def calibrated(
    say: Callable[[str, int], str] | Judge,
    examples: Sequence[Example],
    prompt: Prompt,
    how: str = "auto",
    *,
    ordered: bool = False,
    **options: Any,
) -> JSONObject:
    chosen = reading(how, examples, "last", ordered)
    judge = say if isinstance(say, Judge) else Scripted(say)
    judged: list[Judged] = run(lambda: judge_all(judge, prompt, examples, chosen, **options))
    report = calibration(judged, chosen, "answer")
    orjson.dumps(report)
    return report


def pair(i: int, first: str, second: str, *labels: str) -> Example:
    return Example(str(i), {"first": first, "second": second}, labels)


def one(i: int, answer: str, *labels: Any) -> Example:
    return Example(str(i), {"answer": answer}, labels)


def test_a_judge_by_position(tmp_path: Path) -> None:
    pairs = [pair(i, f"x{i}", f"y{i}", "first" if i % 2 else "second") for i in range(20)]
    report = calibrated(lambda prompt, vote: "[[A]]", pairs, PAIR)
    assert report["read"] == "pair"
    position = report["position"]
    assert position["consistent"]["share"] == 0.0 and position["always_first"] == 20
    assert position["first_shown_wins"]["share"] == 1.0 and position["p_value"] < 1e-5
    assert report["accuracy"]["share"] == 0.0, "inconsistent pairs are ties"
    alone = calibrated(lambda prompt, vote: "[[A]]", pairs, PAIR, swap=False)
    assert alone["accuracy"]["share"] == 0.5 and alone["kappa"]["value"] == 0.0 and alone["position"] is None


def test_a_judge_by_length() -> None:
    pairs = [
        pair(i, "long answer" if i % 2 else "short", "short" if i % 2 else "long answer", "first")
        for i in range(12)
    ]

    def say(prompt: str, vote: int) -> str:
        first, second = prompt.split("|")
        return "[[A]]" if len(first) > len(second) else "[[B]]"

    report = calibrated(say, pairs, PAIR)
    assert report["position"]["consistent"]["share"] == 1.0 and report["position"]["p_value"] == 1.0
    length = report["length"]
    assert length["longer_wins"]["judge"]["share"] == 1.0 and length["longer_wins"]["people"]["share"] == 0.5
    assert length["right_when_longer_is_better"]["share"] == 1.0
    assert length["right_when_shorter_is_better"]["share"] == 0.0
    assert report["accuracy"] == {"share": 0.5, "ci95": report["accuracy"]["ci95"], "n": 12}


def test_a_noisy_judge_of_grades() -> None:
    rng = random.Random(1)
    truth = [rng.choice("ABC") for _ in range(200)]
    said = [t if rng.random() < 0.7 else rng.choice("ABC") for t in truth]
    examples = [one(i, str(i), label) for i, label in enumerate(truth)]
    report = calibrated(lambda prompt, vote: f"It is {said[int(prompt)]}", examples, ONE)
    assert report["read"] == "grade" and report["classes"] == ["A", "B", "C"]
    right = sum(a == b for a, b in zip(truth, said, strict=True))
    assert report["accuracy"]["share"] == right / 200
    low, high = report["accuracy"]["ci95"]
    assert low < right / 200 < high
    assert report["kappa"]["value"] == cohen_kappa(report["confusion"]).value
    codes = [[float("ABC".index(a)), float("ABC".index(b))] for a, b in zip(truth, said, strict=True)]
    assert report["alpha"]["nominal"]["with_judge"] == krippendorff_alpha(codes)
    assert "kappa_linear" not in report and set(report["alpha"]) == {"nominal"}
    ordered = calibrated(lambda prompt, vote: said[int(prompt)], examples, ONE, ordered=True)
    assert ordered["kappa_quadratic"]["value"] == cohen_kappa(report["confusion"], "quadratic").value
    assert set(ordered["alpha"]) == {"nominal", "ordinal", "interval"}


def test_a_generous_judge_of_scores_that_likes_length() -> None:
    examples = [one(i, "x" * (i + 1), 5.0) for i in range(9)]
    report = calibrated(lambda prompt, vote: f"Rating: {5 + len(prompt) // 4}", examples, ONE, "score:1-10")
    errors = [len("x" * (i + 1)) // 4 for i in range(9)]
    assert report["score"]["mean_error"] == pytest.approx(sum(errors) / 9)
    assert report["score"]["mean_absolute_error"] == pytest.approx(sum(errors) / 9)
    assert report["accuracy"]["share"] == errors.count(0) / 9
    assert report["length"]["spearman_length_error"] > 0.9
    thirds = report["length"]["by_third"]
    assert (
        thirds["short"]["share"] == 1.0
        and thirds["long"]["share"] == 0.0
        and thirds["long"]["mean_error"] == 5 / 3
    )
    assert report["score"]["spearman"] is None, "the labels do not vary"


def test_votes_show_what_a_judge_is_sure_of() -> None:
    examples = [one(i, str(i), "equal") for i in range(4)]
    votes = {"0": "===", "1": "==!", "2": "=!?", "3": "!!!"}
    words = {"=": "[[A=B]]", "!": "[[A!=B]]", "?": "cannot say"}
    report = calibrated(lambda prompt, vote: words[votes[prompt][vote]], examples, ONE, votes=3)
    assert report["read"] == "equality"
    assert (report["used"], report["unreadable"], report["votes_unreadable"]) == (3, 1, 1)
    assert report["accuracy"]["share"] == pytest.approx(2 / 3)
    assert report["accuracy_unreadable_wrong"]["share"] == 0.5
    assert report["repeat"]["votes"] == 3
    assert report["repeat"]["agreement"] == pytest.approx((1 + 1 / 3 + 0 + 1) / 4)
    assert report["repeat"]["unanimous"]["share"] == 0.5


def test_several_people() -> None:
    examples = [
        one(0, "a", "equal", "equal", None),
        one(1, "b", "equal", "different", "different"),
        one(2, "c", "equal", "different"),
    ]
    assert [e.label for e in examples] == ["equal", "different", None]
    report = calibrated(lambda prompt, vote: "[[A=B]]" if prompt == "a" else "[[A!=B]]", examples, ONE)
    assert report["label_ties"] == 1 and report["used"] == 2 and report["accuracy"]["share"] == 1.0
    alpha = report["alpha"]["nominal"]
    assert alpha["people"] == krippendorff_alpha([[1, 1, None], [1, 0, 0], [1, 0]])
    assert alpha["with_judge"] == krippendorff_alpha([[1, 1, None, 1], [1, 0, 0, 0], [1, 0, 0]])


def test_a_judge_that_fails_now_and_then() -> None:
    def say(prompt: str, vote: int) -> str:
        if prompt == "2":
            raise JudgeError("judge scripted: away")
        current = hearing.get()
        assert isinstance(current, Hearing) and current.task_id == prompt
        return "[[A=B]]"

    report = calibrated(say, [one(i, str(i), "equal") for i in range(3)], ONE)
    assert (report["failed"], report["failure_example"], report["used"]) == (1, "judge scripted: away", 2)


def test_recorded_replies(tmp_path: Path) -> None:
    replies = tmp_path / "replies.jsonl"
    replies.write_text('{"task": "7", "replies": ["[[A]]", "[[B]]"]}\n')
    report = calibrated(RecordedJudge(replies), [pair(7, "x", "y", "first")], PAIR)
    assert report["accuracy"]["share"] == 1.0 and report["position"]["consistent"]["share"] == 1.0


def labels(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(rows))
    return path


def test_reading_labels(tmp_path: Path) -> None:
    path = labels(
        tmp_path,
        '{"id": "a", "answer": "x", "label": true}',
        '{"answer": 4, "labels": ["different", null, false]}',
    )
    first, second = load_examples(path, frozenset({"answer"}))
    assert (first.id, first.labels) == ("a", ("equal",))
    assert (second.id, second.fields["answer"], second.labels) == ("2", "4", ("different", None, "different"))


@pytest.mark.parametrize(
    ("row", "how", "words"),
    [
        ('{"label": "a"}', "auto", r"no `answer`, which the prompt asks for \(its fields: answer\)"),
        ('{"answer": "x"}', "auto", "`label` .* or `labels`"),
        ('{"answer": "x", "labels": [null]}', "auto", "`label` .* or `labels`"),
        ("", "auto", "no examples in it"),
        ('{"answer": "x", "label": 3}', "auto", "--read score:.: give the judge's scale"),
        ('{"answer": "x", "label": 30}', "score:1-10", "the labels lie between 30 and 30"),
        ('{"answer": "x", "label": 3}', "score:ten-1", "give the judge's scale"),
        ('{"answer": "x", "label": "good"}', "pair", "does not fit the labels .good."),
        ('{"answer": "x", "label": "good"}', "mood", "one of auto, equality, grade, pair or score:LOW-HIGH"),
    ],
)
def test_labels_that_do_not_fit(tmp_path: Path, row: str, how: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        reading(how, load_examples(labels(tmp_path, row), frozenset({"answer"})), "last", False)
