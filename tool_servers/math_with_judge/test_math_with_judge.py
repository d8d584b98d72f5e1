"""Mathematics with a judge: published rows, symbolic first, the judge in both orders and only when it is on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.datasets import load_tasks, parse_task
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import JudgeError, UsageError
from gym_mcp.hub import load_environment
from gym_mcp.judge import RecordedJudge
from gym_mcp.types import Reward, Transcript, assistant_message
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "math_with_judge"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
ROW = {"question": "What is half of 13?", "expected_answer": "$6.5$"}
YES, NO = "Same.\n\n[[A=B]]", "Different: [[A!=B]] and not [[A=B]]"


def environment(**settings: Any) -> type[Environment[Any]]:
    return load_environment("math_with_judge", settings)


def judged(folder: Path, *replies: str) -> type[Environment[Any]]:
    file = folder / "judge.jsonl"
    file.write_text(json.dumps({"task": "t", "replies": list(replies)}))
    return environment(judge=True).judged_by(RecordedJudge(file))


async def verify(cls: type[Environment[Any]], *messages: str) -> Reward:
    async with DirectClient(cls) as client:
        task = parse_task(cls, {"id": "t", "prompt": "q", "data": ROW}, "row")
        episode = await client.open_episode(task, seed=0)
        return (await episode.verify(Transcript([assistant_message(m) for m in messages]))).reward


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 14


@needs_data
def test_published_rows_are_solved() -> None:
    tasks = list(load_tasks(environment(), DATA / "example.jsonl"))
    assert run(check_environment, environment(), tasks) == 5


def test_symbolic() -> None:
    assert run(verify, environment(), r"\boxed{\frac{13}{2}}") == Reward(
        1.0, {"symbolic": 1.0}, "equal: 13/2", "13/2"
    )
    assert run(verify, environment(), r"\boxed{7}") == Reward(0.0, {"symbolic": 0.0}, "not equal: 7", "7")


def test_messages_are_one_text() -> None:
    assert run(verify, environment(), r"so \boxed{6", ".5}").score == 1.0


def test_the_judge_is_not_asked_about_equal_answers(tmp_path: Path) -> None:
    assert run(verify, judged(tmp_path), r"\boxed{13/2}").score == 1.0


def test_both_orders_must_be_equal(tmp_path: Path) -> None:
    half = r"\boxed{\text{six and a half}}"
    yes = run(verify, judged(tmp_path, YES, YES), half)
    assert yes.score == 1.0 and yes.components == {"symbolic": 0.0, "judge": 1.0}
    no = run(verify, judged(tmp_path, YES, NO), half)
    assert no.score == 0.0 and "[[A!=B]]" in no.notes


@pytest.mark.parametrize("reply", [NO, "I cannot say."])
def test_after_a_no_it_is_not_asked_again(tmp_path: Path, reply: str) -> None:
    assert run(verify, judged(tmp_path, reply), r"\boxed{7}").score == 0.0


def test_no_reply_asks_nobody(tmp_path: Path) -> None:
    assert run(verify, judged(tmp_path), "").score == 0.0


def test_without_a_judge_it_is_the_judges_failure() -> None:
    with pytest.raises(JudgeError, match="--judge SPEC"):
        run(verify, environment(judge=True), r"\boxed{7}")


def test_a_prompt_with_fields_that_nobody_fills_is_refused(tmp_path: Path) -> None:
    prompt = tmp_path / "own.txt"
    prompt.write_text("{question} {reference}")
    with pytest.raises(UsageError, match=r"prompt: .*asks for \{reference\}"):
        environment(prompt=str(prompt))
    with pytest.raises(UsageError, match=r"prompt: .*no prompt nowhere"):
        environment(prompt="nowhere")


def test_time_is_bounded() -> None:
    reward = run(verify, environment(timeout=0.5), r"\boxed{9^{9^{9^{9}}}}")
    assert reward == Reward(0.0, {"symbolic": 0.0}, "could not be compared: no answer in 0.5 s", "")
