"""Instruction following: published rows with texts that follow them, reward modes, the graded text, bad rows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.datasets import load_tasks, parse_task
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Item, Reward, Transcript, assistant_message
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "instruction_following"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
TWO: dict[str, Any] = {
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [None, {"num_words": 3, "relation": "at least", "language": None}],
}
REASONING: Item = {"type": "reasoning", "id": "rs_1", "summary": []}
# By the ids of the published rows: a text that follows all of the row's instructions, and one that misses one.
REPLIES = {
    "17616": (
        "He knocked.\n\nShe opened.\n\nCrash went the vase in the hall.\n\nNobody had expected such a contest.",
        "He knocked.\n\nShe opened.\n\nThe crash was loud.\n\nNobody had expected such a contest.",
    ),
    "44654": (
        "SQL: FILTER FIRST\n***\n* INDEX\n* FILTER\n* JOIN\n* GROUP\n* use a LIMIT",
        "SQL: FILTER FIRST\n***\n* INDEX\n* FILTER\n* JOIN\n* GROUP\n* use a limit instead",
    ),
    "2228": (
        "Relationship games sell well. Relationship with players is all!",
        "Relationship games sell well. That is all!",
    ),
    "44655": (
        "Pages: [a] [b] [c] [d]. " + "Here is one more. " * 16,
        "Pages: [a] [b] [c] [d]. " + "Here is one more. " * 15,
    ),
    "8654": (
        "<<Installing>>\nFetch the sources.\n***\nBuild them.",
        "<<Installing>>\nFetch the sources.\n\nBuild them.",
    ),
}


def environment(**settings: Any) -> type[Environment[Any]]:
    return load_environment("instruction_following", settings)


def verify(cls: type[Environment[Any]], data: dict[str, Any], *items: str | Item) -> Reward:
    """The reward, without an episode around it: `verify` is pure here."""
    episode = cls()
    episode.task = parse_task(cls, {"id": "t", "prompt": "Name two rivers.", "data": data}, "row")
    output = [assistant_message(item) if isinstance(item, str) else item for item in items]
    reward = episode.verify(Transcript(output))
    assert isinstance(reward, Reward)
    return reward


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 16


def test_bundled_tasks_use_all_25_of_ifeval_but_few() -> None:
    used = {name for task in load_tasks(environment()) for name in task.data.instruction_id_list}
    assert len(used) >= 28


def test_all_or_a_fraction() -> None:
    assert verify(environment(), TWO, "Rhine and Elbe").score == 1.0
    assert verify(environment(), TWO, "Rhine, and Elbe").score == 0.0
    assert verify(environment(grading_mode="fraction"), TWO, "Rhine, and Elbe").score == 0.5
    assert verify(environment(), {**TWO, "grading_mode": "fraction"}, "Rhine, and Elbe").score == 0.5


def test_components_and_notes() -> None:
    reward = verify(environment(), TWO, "Rivers, two:\nRhine and Elbe")
    assert reward.components == {
        "strict_all": 0.0,
        "strict_fraction": 0.5,
        "loose_all": 1.0,
        "loose_fraction": 1.0,
    }
    assert reward.notes == "punctuation:no_comma: contains a comma"
    assert verify(environment(evaluation="loose"), TWO, "Rivers, two:\nRhine and Elbe").score == 1.0


def test_the_graded_text_is_a_declared_option() -> None:
    reply = "Rhine and Elbe"
    assert verify(environment(), TWO, "a, b", reply).score == 1.0
    assert verify(environment(), TWO, reply, REASONING).score == 0.0
    assert verify(environment(text="last_message"), TWO, reply, REASONING).score == 1.0
    assert verify(environment(text="all_messages"), TWO, "Rhine and", " Elbe").score == 1.0
    assert verify(environment(text="last_message"), TWO, "Rhine and", " Elbe").score == 0.0


def test_only_the_first_part_of_the_last_item_counts() -> None:
    message = assistant_message("Rhine and")
    message["content"].append({"type": "output_text", "text": " Elbe, both"})
    assert verify(environment(), TWO, message).notes.startswith("length_constraints:number_words: 2 words")
    assert verify(environment(), TWO, {"role": "assistant", "content": "Rhine and Elbe"}).score == 1.0


def test_the_prompt_stands_in_for_an_absent_prompt_to_repeat() -> None:
    data = {"instruction_id_list": ["combination:repeat_prompt"]}
    assert verify(environment(), data, "Name two rivers. Rhine and Elbe.").score == 1.0
    assert verify(environment(), data, "Rhine and Elbe.").score == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instruction_id_list": []}, "instruction_id_list: "),
        (
            {"instruction_id_list": ["punctuation:no_coma"], "kwargs": []},
            "unknown instruction `punctuation:no_coma`",
        ),
        ({"kwargs": [None, {"num_words": 3}]}, "argument `relation` is missing"),
        ({"kwargs": [None, None, None]}, "more kwargs than instructions"),
        ({"grading_mode": "some"}, "grading_mode: "),
    ],
)
def test_rows_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=rf"rows\.jsonl:7: .*{message}"):
        parse_task(environment(), {"id": "x", "data": {**TWO, **change}}, "rows.jsonl:7")


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=60))
def test_verify_never_raises(text: str) -> None:
    assert 0.0 <= verify(environment(grading_mode="fraction"), TWO, text).score <= 1.0


@needs_data
def test_published_rows() -> None:
    cls = environment()
    tasks = list(load_tasks(cls, DATA / "example.jsonl"))
    assert {task.id for task in tasks} == set(REPLIES)
    for task in tasks:
        followed, missed = (verify(cls, task.raw or {}, text) for text in REPLIES[task.id])
        assert (followed.score, missed.score) == (1.0, 0.0), (task.id, followed, missed)
        count = len(task.data.instruction_id_list)
        assert missed.components["strict_fraction"] == (count - 1) / count
