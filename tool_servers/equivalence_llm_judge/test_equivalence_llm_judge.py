"""Equivalence by a judge: recorded replies give recorded rewards; exact answers, patterns, swap and rescue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.coordinator.score import TaskIndex, recorded, score_all
from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import JudgeError, UsageError
from gym_mcp.hub import load_environment
from gym_mcp.judge import Judge, RecordedJudge
from gym_mcp.types import Reward, Transcript, assistant_message, text_of
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "equivalence_llm_judge"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
YES, NO = "Same.\n\n[[A=B]] they are equivalent", "No.\n\n[[A!=B]] they are not equivalent"
ROW = {"expected_answer": "the Moon"}
WITH_PATTERN = {**ROW, "template_metadata": {"output_regex": r"<a>(.*?)</a>"}}


class Listener(Judge):
    """Answers from a list and keeps the prompts."""

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        self.prompts: list[str] = []

    async def ask(self, prompt: Any, **params: Any) -> str:
        self.prompts.append(prompt)
        return self.replies.pop(0)


def environment(**settings: Any) -> type[Environment[Any]]:
    return load_environment("equivalence_llm_judge", settings)


async def verify(cls: type[Environment[Any]], judge: Judge, data: dict[str, Any], *messages: str) -> Reward:
    cls = cls.judged_by(judge)
    async with DirectClient(cls) as client:
        task = parse_task(cls, {"id": "t", "prompt": "What circles the Earth?", "data": data}, "row")
        episode = await client.open_episode(task, seed=0)
        return (await episode.verify(Transcript([assistant_message(m) for m in messages]))).reward


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 12


@needs_data
@pytest.mark.parametrize("file", ["example", "example_openqa", "example_nl2bash", "example_prepare"])
def test_published_rows_are_solved_by_their_reference(file: str) -> None:
    tasks = list(load_tasks(environment(), DATA / f"{file}.jsonl"))
    assert run(check_environment, environment(), tasks) == 5


@needs_data
@pytest.mark.parametrize(
    ("rows", "rollouts", "settings"),
    [
        ("example", "example_rollouts", {}),
        ("example", "example_rollouts", {"exact": False}),
        ("example_openqa", "example_rollouts_openqa", {}),
        ("example_openqa", "example_rollouts_openqa", {"exact": False}),
        ("example_openqa", "example_rollouts_openqa", {"exact": False, "swap": True}),
    ],
)
def test_recorded_replies_and_verdicts_give_recorded_rewards(
    tmp_path: Path, rows: str, rollouts: str, settings: dict[str, Any]
) -> None:
    cls, path = environment(**settings), DATA / f"{rollouts}.jsonl"
    index = TaskIndex.of(load_tasks(cls, DATA / f"{rows}.jsonl"))
    judge_file = tmp_path / "judge.jsonl"
    with judge_file.open("w") as file:
        for row in read_rows(path):
            task = index.find(row)
            assert task is not None
            replies = [
                "".join(text_of(item) for item in one["response"]["output"]) for one in row["judge_evaluations"]
            ]
            file.write(json.dumps({"task": task.id, "replies": replies}) + "\n")

    async def score() -> list[tuple[float, float]]:
        async with DirectClient(cls.judged_by(RecordedJudge(judge_file))) as client:
            lines = score_all(client, recorded(cls, path, index))
            return [(line["reward"], line["recorded_reward"]) async for line in lines]

    scores = run(score)
    assert len(scores) == 5
    assert all(ours == theirs for ours, theirs in scores), scores
    assert {theirs for _, theirs in scores} == {0.0, 1.0}


@pytest.mark.parametrize("reply", ["the Moon", "\\boxed{The  moon}", "It is \\boxed{\\text{the Moon}}"])
def test_the_reference_itself_asks_nobody(reply: str) -> None:
    assert run(verify, environment(), Listener(), ROW, reply).components == {"exact": 1.0}


def test_without_exact_everything_is_the_judges() -> None:
    assert run(verify, environment(exact=False), Listener(NO), ROW, "the Moon").score == 0.0


def test_no_answer_asks_nobody() -> None:
    assert run(verify, environment(), Listener(), ROW, "Luna", " ") == Reward(0.0, {}, "no answer")
    assert run(verify, environment(), Listener(), ROW).score == 0.0


def test_what_the_judge_sees() -> None:
    judge = Listener(YES)
    assert run(verify, environment(), judge, ROW, "first", "Luna {gold}").score == 1.0
    (prompt,) = judge.prompts
    assert "What circles the Earth?" in prompt and "the Moon" in prompt and "Luna {gold}" in prompt
    assert "first" not in prompt.partition("What circles the Earth?")[2]


@pytest.mark.parametrize(
    ("reply", "score"), [(YES, 1.0), (NO, 0.0), ("who knows", 0.0), (NO + YES, 0.0), (YES + NO, 1.0)]
)
def test_the_first_label_counts(reply: str, score: float) -> None:
    assert run(verify, environment(), Listener(reply), ROW, "Luna").score == score


@pytest.mark.parametrize(
    ("replies", "score"),
    [((NO, YES, YES), 1.0), ((NO, "?", YES), 0.0), (("?", "?", YES), 1.0), ((NO, NO, YES), 0.0)],
)
def test_votes(replies: tuple[str, ...], score: float) -> None:
    cls = environment(votes=3, rescue=False)
    assert run(verify, cls, Listener(*replies), ROW, "Luna").score == score


@pytest.mark.parametrize(("replies", "words"), [(("?", "??"), "neither label"), ((YES, NO), "votes are tied")])
def test_what_cannot_be_told_may_fail_instead(replies: tuple[str, ...], words: str) -> None:
    with pytest.raises(JudgeError, match=words):
        run(verify, environment(votes=2, unreadable="fail"), Listener(*replies), ROW, "Luna")
    reward = run(verify, environment(votes=2, rescue=False), Listener(*replies), ROW, "Luna")
    assert (reward.score, reward.notes) == (0.0, "the judge says neither label")


def test_swap() -> None:
    cls = environment(swap=True, reward_if_swap_fails=0.25)
    judge = Listener(YES, NO)
    reward = run(verify, cls, judge, ROW, "Luna")
    assert (reward.score, reward.components) == (0.25, {"judge": 1.0, "swapped": 0.0})
    assert judge.prompts[0].rindex("the Moon") < judge.prompts[0].rindex("Luna")
    assert judge.prompts[1].rindex("the Moon") > judge.prompts[1].rindex("Luna")
    assert run(verify, cls, Listener(YES, YES), ROW, "Luna").score == 1.0
    assert run(verify, cls, Listener(NO), ROW, "Luna").score == 0.0


def test_patterns_and_rescue() -> None:
    reply = "It is Luna. <a>old</a> <a>Phobos</a>"
    judge = Listener(NO, YES)
    reward = run(verify, environment(), judge, WITH_PATTERN, reply)
    assert (reward.score, reward.components) == (0.5, {"judge": 0.0, "rescued": 1.0})
    assert judge.prompts[0].rstrip().endswith("Phobos") and reply in judge.prompts[1]
    assert run(verify, environment(), Listener(NO, NO), WITH_PATTERN, reply).score == 0.0
    assert run(verify, environment(rescue=False), Listener(NO), WITH_PATTERN, reply).score == 0.0
    assert run(verify, environment(), Listener(NO), WITH_PATTERN, "no tag").score == 0.0


def test_a_long_reference_is_compared_with_the_whole_reply() -> None:
    data = {**WITH_PATTERN, "expected_answer": "moon " * 30}
    judge = Listener(NO)
    assert run(verify, environment(), judge, data, "all of it <a>x</a>").score == 0.0
    assert judge.prompts[0].rstrip().endswith("all of it <a>x</a>")


def test_without_a_judge_it_is_the_judges_failure() -> None:
    with pytest.raises(JudgeError, match="--judge SPEC"):
        run(verify, environment(), Judge(), ROW, "Luna")


def test_options_and_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="rescue_reward: "):
        environment(rescue_reward=2)
    with pytest.raises(UsageError, match=r"prompt: .*no prompt nowhere"):
        environment(prompt="nowhere")
    with pytest.raises(UsageError, match="r:1: expected_answer: "):
        parse_task(environment(), {"data": {"expected_answer": ""}}, "r:1")
