"""Multiple choice: published rows and rollouts, options of the environment, rows that do not fit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Reward, Transcript, assistant_message
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "mcqa"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
PAIRS = [
    ("example.jsonl", "example_rollouts.jsonl"),
    ("example_with_template_metadata.jsonl", "example_rollouts_with_template_metadata.jsonl"),
]
DATA_ROW = {"options": [{"A": "one"}, {"B": "two"}, {"C": None}], "expected_answer": "B"}


def environment(**settings: Any) -> type[Environment[Any]]:
    return load_environment("mcqa", settings)


def verify(cls: type[Environment[Any]], data: dict[str, Any], *messages: str) -> Reward:
    """The reward, without an episode around it: `verify` is pure here."""
    episode = cls()
    episode.task = parse_task(cls, {"id": "t", "prompt": "q", "data": data}, "row")
    reward = episode.verify(Transcript([assistant_message(m) for m in messages]))
    assert isinstance(reward, Reward)
    return reward


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 16


def test_bundled_tasks_use_every_mode() -> None:
    rows = [task.data for task in load_tasks(environment())]
    assert {row.grading_mode for row in rows} >= {
        "strict_single_letter_boxed",
        "lenient_boxed",
        "lenient_answer_colon",
        "lenient_answer_colon_md",
    }
    assert any(row.template_metadata for row in rows)
    assert all(row.expected_answer in row.options for row in rows)


@pytest.mark.parametrize("mode", ["lenient_boxed", "lenient_answer_colon", "lenient_answer_colon_md"])
@pytest.mark.parametrize("box", ["first", "last"])
def test_the_solution_is_accepted_in_every_mode(mode: str, box: str) -> None:
    assert run(check_environment, environment(grading_mode=mode, box=box)) == 16


def test_components_and_notes() -> None:
    cls = environment()
    assert verify(cls, DATA_ROW, r"\boxed{B}") == Reward(1.0, {"extracted": 1.0}, "B in a box", "B")
    assert verify(cls, DATA_ROW, r"\boxed{A}") == Reward(0.0, {"extracted": 1.0}, "A in a box", "A")
    assert verify(cls, DATA_ROW, "B") == Reward(0.0, {"extracted": 0.0}, "no closed \\boxed{}", "")


def test_an_option_without_text_is_no_option() -> None:
    assert verify(environment(), {**DATA_ROW, "expected_answer": "C"}, r"\boxed{C}").score == 0.0


def test_options_as_one_object_and_lower_case_letters() -> None:
    data = {"options": {"a": "one", "b": 2}, "expected_answer": " b "}
    assert verify(environment(), data, r"\boxed{B}").score == 1.0


def test_a_row_without_options_takes_any_letter() -> None:
    """Recorded rollouts hold the key, and no options."""
    row = {"expected_answer": "H"}
    assert verify(environment(), row, r"\boxed{H}").score == 1.0
    assert verify(environment(), row, r"\boxed{h}").score == 0.0
    assert verify(environment(grading_mode="lenient_boxed"), row, r"\boxed{any words}").score == 0.0
    assert verify(environment(), {**row, "options": []}, r"\boxed{H}").score == 0.0


def test_empty_answer_never_matches() -> None:
    data = {**DATA_ROW, "expected_answer": ""}
    assert [verify(environment(), data, text).score for text in ("", r"\boxed{}", r"\boxed{A}")] == [0.0] * 3


def test_all_messages_are_one_text() -> None:
    assert verify(environment(), DATA_ROW, r"\boxed{", "B}").score == 1.0
    assert verify(environment(), DATA_ROW, r"\boxed{B}", r"\boxed{A}").score == 1.0


def test_box_is_a_declared_option() -> None:
    text = r"\boxed{A} or rather \boxed{B}"
    assert verify(environment(), DATA_ROW, text).score == 0.0
    assert verify(environment(box="last"), DATA_ROW, text).score == 1.0
    with pytest.raises(UsageError, match="option box: "):
        environment(box="middle")


def test_the_environments_mode_overrides_the_rows() -> None:
    data = {**DATA_ROW, "grading_mode": "lenient_answer_colon"}
    assert verify(environment(), data, "Answer: two").score == 1.0
    assert verify(environment(grading_mode="lenient_boxed"), data, "Answer: two").score == 0.0


@pytest.mark.parametrize("regex", [r"choice=(\w)", [r"pick=(\w)", r"choice=(\w)"]])
def test_output_regex_is_a_pattern_or_a_list(regex: Any) -> None:
    data = {**DATA_ROW, "template_metadata": {"output_regex": regex, "weight": 0.1}}
    assert verify(environment(), data, "choice=b").score == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expected_answer": None}, "expected_answer: "),
        ({"options": "A, B"}, "options: "),
        ({"grading_mode": "fuzzy"}, "grading_mode: "),
        ({"template_metadata": {"output_regex": "(["}}, r"output_regex\.0: .*not a regular expression"),
    ],
)
def test_rows_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=rf"rows\.jsonl:7: .*{message}"):
        parse_task(environment(), {"id": "x", "data": {**DATA_ROW, **change}}, "rows.jsonl:7")


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=60), st.sampled_from(["", "\\boxed{", "Answer:", "}"]))
def test_verify_never_raises(text: str, piece: str) -> None:
    reward = verify(environment(), DATA_ROW, piece + text, text + piece)
    assert reward.score in (0.0, 1.0)


@needs_data
@pytest.mark.parametrize("rows", [rows for rows, _ in PAIRS])
@pytest.mark.parametrize("box", ["first", "last"])
def test_published_rows_are_solved(rows: str, box: str) -> None:
    cls = environment(box=box)
    assert run(check_environment, cls, list(load_tasks(cls, DATA / rows))) == 5


@needs_data
@pytest.mark.parametrize(("rows", "rollouts"), PAIRS)
def test_recorded_rollouts_get_their_recorded_reward(rows: str, rollouts: str) -> None:
    cls = environment()
    tasks = {_question(list(task.prompt)): task for task in load_tasks(cls, DATA / rows)}

    async def rewards() -> list[tuple[float, float]]:
        out = []
        async with DirectClient(cls) as client:
            for recorded in read_rows(DATA / rollouts):
                task = tasks[_question(recorded["responses_create_params"]["input"])]
                episode = await client.open_episode(task, seed=0)
                verdict = await episode.verify(Transcript(recorded["response"]["output"]))
                out.append((verdict.reward.score, recorded["reward"]))
        return out

    pairs = asyncio.run(rewards())
    assert len(pairs) == 5
    assert [mine for mine, _ in pairs] == [theirs for _, theirs in pairs]


def _question(items: list[dict[str, Any]]) -> str:
    return "\n".join(str(item["content"]) for item in items if item["role"] == "user")
