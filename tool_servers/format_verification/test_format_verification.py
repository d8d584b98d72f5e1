"""Published rows with replies in their layout, lines against matches, rows that do not fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gym_mcp.datasets import load_tasks, parse_task
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Reward, Transcript, assistant_message
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "format_verification"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
REGEX: dict[str, Any] = {"verifier": {"type": "regex", "verify_regex": [r"^\+ .+"], "verify_min_matches": 2}}
MARKS: dict[str, Any] = {"verifier": {"type": "string_match", "expected": ["[1]"], "patterns": [r"\[\d\]"]}}
# By the published pattern ids: a line in that layout, and one that nearly is.
LINES = {
    "mixed_inline_numbered_heading": ('1. "Some Name": an answer', "1. Some Name: an answer"),
    "kv_equals": ("Colour = red", "Colour: red"),
    "bullet_double_dash": ("-- Norway", "--Norway"),
    "web_mixed_paragraphs_bullets": ("- an entry", "* the award"),
    "bullet_arrow": ("→ an entry", "-> an entry"),
}


def environment() -> type[Environment[Any]]:
    return load_environment("format_verification")


def verify(data: dict[str, Any], *messages: str) -> Reward:
    """The reward, without an episode around it: `verify` is pure here."""
    episode = environment()()
    episode.task = parse_task(environment(), {"id": "t", "prompt": "q", "data": data}, "row")
    reward = episode.verify(Transcript([assistant_message(m) for m in messages]))
    assert isinstance(reward, Reward)
    return reward


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 14


def test_lines_are_counted() -> None:
    assert verify(REGEX, "+ a\n+ b") == Reward(1.0, {"share": 1.0}, "2 of 2 lines match")
    assert verify(REGEX, "+ a + b") == Reward(0.0, {"share": 0.5}, "1 of 2 lines match")


def test_all_messages_are_one_text() -> None:
    assert verify(REGEX, "+ a\n", "+ b").score == 1.0
    assert verify(REGEX, "+ a", "+ b").score == 0.0


def test_markers_and_no_others() -> None:
    assert verify(MARKS, "So [1].").score == 1.0
    assert verify(MARKS, "So [1] [2].").notes == "not expected: [2]"
    assert verify(MARKS, "So [2].").score == 0.0


@pytest.mark.parametrize(
    ("verifier", "message"),
    [
        ({"type": "regex", "verify_regex": ["(["]}, "not a regular expression"),
        ({"type": "regex", "verify_regex": []}, "verify_regex"),
        ({"type": "regex", "verify_regex": "x", "verify_min_matches": 0}, "verify_min_matches"),
        ({"type": "string_match"}, "expected"),
        ({"type": "judge"}, "'regex', 'string_match'"),
    ],
)
def test_rows_that_do_not_fit_are_refused(verifier: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=rf"rows\.jsonl:7: .*{message}"):
        parse_task(environment(), {"id": "x", "data": {"verifier": verifier}}, "rows.jsonl:7")


@given(st.text(alphabet=st.characters(), max_size=80))
def test_verify_never_raises(text: str) -> None:
    assert verify(REGEX, text).score in (0.0, 1.0)
    assert verify(MARKS, text).score in (0.0, 1.0)


@needs_data
def test_published_rows() -> None:
    tasks = list(load_tasks(environment(), DATA / "example.jsonl"))
    assert {task.data.verifier.pattern_id for task in tasks} == set(LINES)
    for task in tasks:
        good, near = LINES[task.data.verifier.pattern_id]
        assert verify(task.raw or {}, "\n\n".join(["Here it is:", good, good, good])).score == 1.0
        assert verify(task.raw or {}, "\n\n".join([good, good, near])).score == 0.0
