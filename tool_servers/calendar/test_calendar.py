"""Calendars: published rows, each rule by itself, schedules found whenever there is one, odd entries."""

from __future__ import annotations

import itertools
import json
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
from tool_servers.calendar.rules import Window, clock, minutes, schedule, spoken, violation, window

DATA = SHARED / "data" / "nemo_gym" / "calendar"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
DAY = {"min_time": "10:00", "max_time": "16:00"}
STATE = {
    "0": {"event_id": 0, "duration": 60, "constraint": "before 1pm", **DAY},
    "1": {"event_id": 1, "duration": 30, "constraint": None, **DAY},
}
GOOD: list[Any] = [
    {"event_id": 0, "event_name": "a", "start_time": "10:00", "duration": 60},
    {"event_id": 1, "event_name": "b", "start_time": "11:00", "duration": 30},
]


def environment() -> type[Environment[Any]]:
    return load_environment("calendar")


def verify(*items: Item, state: Any = STATE) -> Reward:
    episode = environment()()
    episode.task = parse_task(environment(), {"id": "t", "prompt": "q", "exp_cal_state": state}, "row")
    reward = episode.verify(Transcript(list(items)))
    assert isinstance(reward, Reward)
    return reward


def say(text: str) -> Item:
    return assistant_message(text)


def changed(index: int, **change: Any) -> Reward:
    entries = [dict(entry) for entry in GOOD]
    entries[index].update(change)
    return verify(say(json.dumps(entries)))


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 16


@needs_data
def test_published_rows_are_solved() -> None:
    tasks = list(load_tasks(environment(), DATA / "example.jsonl"))
    assert run(check_environment, environment(), tasks) == 5


def test_a_good_calendar() -> None:
    assert verify(say(json.dumps(GOOD))) == Reward(1.0, {"listed": 1.0}, "all constraints hold")
    assert verify(say(f"Here: [1] {json.dumps(GOOD)} and [{{}}]")).score == 1.0


@pytest.mark.parametrize(
    ("index", "change", "note"),
    [
        (1, {"start_time": "10:59"}, "events 0 and 1 overlap"),
        (1, {"duration": 45}, "event 1 takes 45 minutes, not 30"),
        (1, {"duration": "30"}, "the duration is no whole number"),
        (1, {"duration": True}, "the duration is no whole number"),
        (1, {"duration": float("nan")}, "cannot be read"),
        (1, {"duration": float("inf")}, "cannot be read"),
        (1, {"duration": None}, "cannot be read"),
        (1, {"start_time": "09:30"}, "starts at 09:30, before 10:00"),
        (1, {"start_time": "15:45"}, "ends at 16:15, after 16:00"),
        (1, {"start_time": "11am"}, "no time of the form HH:MM"),
        (1, {"start_time": 11}, "cannot be read"),
        (0, {"start_time": "12:15"}, "ends at 13:15, after 13:00"),
        (1, {"event_id": 2}, "events 0, 2 instead of 0, 1"),
        (1, {"event_id": 0}, "events 0 instead of 0, 1"),
    ],
)
def test_violations(index: int, change: dict[str, Any], note: str) -> None:
    reward = changed(index, **change)
    assert reward.score == 0.0
    assert note in reward.notes


def test_missing_and_additional_events() -> None:
    assert verify(say(json.dumps(GOOD[:1]))).score == 0.0
    more = [*GOOD, {"event_id": 2, "start_time": "12:00", "duration": 5}]
    assert verify(say(json.dumps(more))).score == 0.0
    assert verify(say(json.dumps([*GOOD, "text"]))).score == 0.0


def test_of_two_entries_with_one_id_the_later_counts() -> None:
    wrong = {"event_id": 1, "start_time": "10:30", "duration": 5}
    assert verify(say(json.dumps([wrong, *GOOD]))).score == 1.0
    assert verify(say(json.dumps([*GOOD, wrong]))).score == 0.0


def test_which_text_is_graded() -> None:
    good = json.dumps(GOOD)
    assert verify(say("no"), say(good)).score == 1.0
    assert verify(say(good), say("no")).score == 0.0
    assert verify(say(good), {"type": "reasoning", "summary": []}).score == 0.0
    assert verify(say("<think>hm</think>" + good)).notes == "the reply holds <think>"
    assert verify(say("<think>" + good)).score == 0.0
    assert verify(say("hm</think>" + good)).score == 1.0  # the published rule looks for the opening tag alone
    assert verify(say("[]")).notes == "no JSON list with an event in it"
    assert verify().score == 0.0


def test_where_nothing_is_expected_anything_will_do() -> None:
    assert verify(say("Hello!"), state={}).score == 1.0


@pytest.mark.parametrize(
    ("constraint", "bounds"),
    [
        (None, Window(30, 600, 960)),
        ("", Window(30, 600, 960)),
        ("before 1:45pm", Window(30, 600, 825)),
        ("After 10am", Window(30, 600, 960)),
        ("after 2 PM", Window(30, 840, 960)),
        ("between 12:15pm and 3:15pm", Window(30, 735, 915)),
        ("at 12pm", Window(30, 600, 960, 720)),
    ],
)
def test_constraints(constraint: str | None, bounds: Window) -> None:
    assert window(30, constraint, "10:00", "16:00") == bounds


@pytest.mark.parametrize("constraint", ["near 2pm", "before noon", "at 13pm", "between 1pm", "after 2:75pm"])
def test_constraints_of_another_form_are_refused(constraint: str) -> None:
    state = {"0": {"event_id": 0, "duration": 30, "constraint": constraint, **DAY}}
    with pytest.raises(UsageError, match=r"rows:4: exp_cal_state\.0: .*"):
        parse_task(environment(), {"id": "x", "exp_cal_state": state}, "rows:4")


def test_times() -> None:
    assert (spoken("12am"), spoken("12:30pm"), spoken("4 p.m.")) == (0, 750, 960)
    assert minutes("9:05") == 545 and clock(545) == "09:05"


SLOTS = st.builds(
    lambda duration, start, length, fixed: Window(
        15 * duration, 15 * start, 15 * (start + length), 15 * start if fixed else None
    ),
    st.integers(1, 3),
    st.integers(0, 6),
    st.integers(1, 8),
    st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(SLOTS, max_size=3))
def test_a_schedule_is_found_exactly_when_there_is_one(slots: list[Window]) -> None:
    windows = {str(i): slot for i, slot in enumerate(slots)}
    found = schedule(windows)
    times = [range(0, 14 * 15, 15) for _ in slots]
    exists = any(good(dict(zip(windows, starts, strict=True)), windows) for starts in itertools.product(*times))
    assert (found is not None) == exists
    assert found is None or good(found, windows)


def good(starts: dict[str, int], windows: dict[str, Window]) -> bool:
    entries = [
        {"event_id": name, "start_time": clock(start), "duration": windows[name].duration}
        for name, start in starts.items()
    ]
    return violation(entries, windows) is None
