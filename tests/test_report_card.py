"""The report card: a sound environment passes every check, and each kind of fault fails the check made for it."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gym_mcp import Call, Environment, JudgeError, Reward, Task, Transcript, tool
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.report_card import Check, ReportCard, examine, render
from gym_mcp.report_card.exam import Effort
from gym_mcp.report_card.robustness import random_text
from gym_mcp.types import JSONObject
from tests.environments.unsound import (
    Filing,
    Fragile,
    Generous,
    Gullible,
    Hoarding,
    Mute,
    Overpaying,
    Shared,
    Sound,
    Stuck,
    Telling,
    Twice,
    Undescribed,
    Unloadable,
    Unseeded,
    Unsolved,
    Yes,
)

pytestmark = pytest.mark.slow  # real processes, or searches that take their time

QUICK = Effort(fuzz=60, episodes=90, interleaved=8, sample=4, seconds=1.0)
FAULTS = [
    (Generous, {"null", "constants"}, "null", "beats the floor of 0 on 4 of 4 tasks", "reward 1 for nothing"),
    (Yes, {"constants"}, "constants", "a constant answer beats", "'yes' gets 1 on average"),
    (Unsolved, {"oracle"}, "oracle", "gets less than 1 on 1 of 4 tasks", "reward 0"),
    (
        Unseeded,
        {"replay", "seed", "interleaved", "snapshot"},
        "replay",
        "ends differently",
        "Call('draw') brought",
    ),
    (Shared, {"interleaved"}, "interleaved", "end differently when others run", "Call('ask') brought"),
    (Telling, {"no_leak"}, "no_leak", "can read an answer", "data.expected 'quokka' stands in"),
    (Filing, {"no_leak"}, "no_leak", "can read an answer", "data.expected 'quokka' stands in"),
    (Mute, {"no_leak"}, "no_leak", "can read an answer", "the solution's answer 'quokka' stands in"),
    (Overpaying, {"answers"}, "answers", "outside its range [0, 1]", "answer '"),
    (Fragile, {"calls"}, "calls", "make look_up fail", "KeyError"),
    (Stuck, {"snapshot"}, "snapshot", "does not take the episode back", "Only once."),
    (Hoarding, {"growth"}, "growth", "bytes behind", "episodes opened and closed"),
    (Undescribed, {"schema", "calls"}, "schema", "5 problems", "model APIs take names"),
    (Twice, {"rows"}, "rows", "unsound", "used 2 times"),
    (Unloadable, {"rows"}, "rows", "the tasks do not load", "unloadable.tasks() raised KeyError"),
]


def card_of(cls: type[Environment[Any]], **options: Any) -> ReportCard:
    return asyncio.run(asyncio.wait_for(examine(cls, **{"effort": QUICK, **options}), 50))


def named(card: ReportCard, name: str) -> Check:
    return next(check for check in card.checks if check.name == name)


def test_a_sound_environment_passes_every_check() -> None:
    card = card_of(Sound)
    assert {check.status for check in card.checks} == {"ok"}, render(card)
    assert len(card.checks) == 13
    assert (card.environment, card.num_tasks, card.timing.calls) == ("sound", 4, 4)
    assert card.timing.call_max is not None
    assert card.timing.call_p50 is not None
    assert 0 < card.timing.call_p50 <= card.timing.call_max < 1_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cls", "failing", "name", "reason", "evidence"), FAULTS, ids=lambda v: getattr(v, "name", "")
)
def test_a_fault_fails_the_check_that_is_made_for_it_and_no_other(
    cls: type[Environment[Any]], failing: set[str], name: str, reason: str, evidence: str
) -> None:
    card = card_of(cls)
    assert {check.name for check in card.failed} == failing, render(card)
    check = named(card, name)
    assert reason in check.reason
    assert any(evidence in e.saw for e in check.evidence), check.evidence


def test_a_leak_shows_in_few_episodes_too_where_opening_is_slow() -> None:
    class Sluggish(Hoarding):
        """Keeps something of every episode, and takes its time."""

        kept: ClassVar[list[bytes]] = []

        def open(self, task: Task[dict[str, str]]) -> None:
            super().open(task)
            self.kept.append(bytes(10_000))
            time.sleep(0.01)

    card = card_of(Sluggish, limit=1, effort=Effort(fuzz=10, interleaved=4, sample=1, seconds=0.1))
    assert named(card, "growth").status == "fail", render(card)
    assert named(card, "growth").evidence[0].saw == "30 episodes opened and closed"


def test_a_tool_that_is_declared_read_only_and_changes_state_is_found() -> None:
    class Peeking(Sound):
        """Looks, and breaks something; what it keeps to itself is its own."""

        def open(self, task: Task[dict[str, str]]) -> None:
            super().open(task)
            self.best = float("nan")

        @tool(read_only=True)
        def peek(self) -> str:
            """Look."""
            self._looked, self.best = True, float("nan")
            self.asked -= 1
            return "?"

        @tool(read_only=True)
        def leave(self) -> str:
            """End the episode."""
            self.done = True
            return "."

    card = card_of(Peeking)
    assert [check.name for check in card.failed] == ["calls"], render(card)
    assert named(card, "calls").reason.startswith("peek of read_only=True changes state")
    assert named(card, "calls").evidence[0].saw == "Call('peek') changed asked"


def test_a_verifier_that_raises_on_odd_answers_is_found_with_the_answer() -> None:
    card = card_of(Gullible)
    check = named(card, "constants")
    assert check.status == "fail"
    assert "gullible.verify raised ValueError" in check.reason
    assert named(card, "oracle").status == "ok"


def test_what_comes_with_no_solution_is_skipped_and_the_rest_is_played_at_random() -> None:
    class Unsung(Sound):
        """Nobody wrote its solution."""

        solution = Environment.solution  # type: ignore[assignment]

    card = card_of(Unsung)
    assert {check.name: check.status for check in card.checks if check.status != "ok"} == {"oracle": "skip"}
    assert "write one" in named(card, "oracle").reason
    assert card.timing.calls > 4


def test_without_tasks_all_but_the_schema_is_skipped_and_says_what_to_add() -> None:
    class Idle(Environment[Any]):
        """Has no task."""

    card = card_of(Idle)
    assert [check.status for check in card.checks] == ["ok"] + ["skip"] * 12
    assert "--input FILE.jsonl" in named(card, "rows").reason


def test_an_environment_that_cannot_open_fails_once_and_the_rest_points_there() -> None:
    class Closed(Sound):
        """Does not open."""

        def open(self, task: Task[dict[str, str]]) -> None:
            raise OSError("no disk")

    card = card_of(Closed)
    assert "closed.open raised OSError: no disk" in named(card, "oracle").reason
    assert [check.name for check in card.failed] == ["oracle"]
    assert named(card, "growth").reason == "cannot be checked before `oracle` is mended"


def test_lower_is_better_turns_every_comparison_round() -> None:
    class Golf(Sound):
        """Fewer strokes are better."""

        reward_range = (0.0, 10.0)
        higher_is_better = False
        floor = 10.0

        def verify(self, transcript: Transcript) -> float:
            return 10.0 - 10.0 * float(super().verify(transcript))

    assert not card_of(Golf).failed
    Golf.floor = 20.0
    assert {check.name for check in card_of(Golf).failed} == {"null", "constants"}


def test_a_conversation_is_played_turn_by_turn() -> None:
    class Polite(Sound):
        """Wants to be greeted first."""

        def open(self, task: Task[dict[str, str]]) -> None:
            super().open(task)
            self.greeted = False

        def reply(self, message: str) -> str | None:
            if self.greeted:
                return None
            self.greeted = message == "hello"
            return "Hello. What is the password?"

        def solution(self) -> Iterator[Any]:
            yield "hello"
            yield from super().solution()

    card = card_of(Polite)
    assert not card.failed, render(card)


def test_a_solution_that_goes_on_after_its_last_word_is_stopped_where_a_harness_stops() -> None:
    class Chatty(Sound):
        """Talks before it asks."""

        def solution(self) -> Iterator[Any]:
            yield "Let me see."
            yield from super().solution()

    assert "less than 1 on 4 of 4" in named(card_of(Chatty), "oracle").reason


def test_a_judge_that_is_not_there_is_no_fault_of_the_environment() -> None:
    class Judged(Sound):
        """Needs a judge."""

        def verify(self, transcript: Transcript) -> float:
            raise JudgeError("no judge model is configured")

    card = card_of(Judged)
    assert not card.failed, render(card)
    assert named(card, "oracle").reason == "needs a judge model: no judge model is configured"


def test_state_that_cannot_be_copied_skips_the_snapshot_unless_the_author_wrote_one() -> None:
    class Locked(Sound):
        """Holds a lock."""

        def open(self, task: Task[dict[str, str]]) -> None:
            super().open(task)
            self.lock = threading.Lock()

    class Broken(Locked):
        """Has a snapshot of its own that fails."""

        def snapshot(self) -> Any:
            raise RuntimeError("not today")

    check = named(card_of(Locked), "snapshot")
    assert (check.status, "write snapshot() and restore()" in check.reason) == ("skip", True)
    assert "raised RuntimeError" in named(card_of(Broken), "snapshot").reason


def test_what_depends_on_the_hash_seed_differs_in_another_process(tmp_path: Path) -> None:
    source = '''
from gym_mcp import Call, Environment, Reward, tool

class Unordered(Environment):
    """Lists a set."""

    @classmethod
    def tasks(cls):
        return [{"id": "a"}]

    @tool
    def words(self) -> str:
        """List the words."""
        return " ".join({f"word{i}" for i in range(40)})

    def verify(self, transcript):
        return float(transcript.answer == "done")

    def solution(self):
        yield Call("words")
        yield "done"
'''
    (tmp_path / "unordered.py").write_text(source)
    card = card_of(load_environment(str(tmp_path / "unordered.py")))
    assert [check.name for check in card.failed] == ["seed"], render(card)
    assert "another process" in named(card, "seed").reason


def test_a_class_that_no_file_gives_is_compared_in_this_process_only() -> None:
    assert "not tried in another process" in named(card_of(Sound), "seed").reason


def test_seed_and_limit_choose_the_episodes(tmp_path: Path) -> None:
    card = card_of(Unsolved, limit=2, seed=7)
    assert (card.num_tasks, card.seed, card.failed) == (2, 7, [])
    chosen = [task for task in (Task("x", data={"expected": "quokka"}), Task("y", data={"expected": "gnu!"}))]
    assert card_of(Sound, tasks=chosen).num_tasks == 2
    (tmp_path / "rows.jsonl").write_text('{"id": "z", "prompt": 4}\n')
    with pytest.raises(UsageError, match=r"rows.jsonl:1: prompt"):
        card_of(Sound, source=tmp_path / "rows.jsonl")


def test_text_and_json_forms_say_the_same() -> None:
    card = card_of(Unsolved)
    page = render(card)
    assert page.splitlines()[0] == "unsolved  version 1, 4 tasks, seed 0"
    assert "\n  FAIL  oracle" in page
    assert "\n                     task t2: reward 0" in page
    assert "12 ok, 1 failed, 0 skipped" in page
    assert max(map(len, render(card, 60).splitlines())) == 60
    data = card.as_json()
    assert (data["ok"], data["environment"]) == (False, "unsolved")
    oracle = next(check for check in data["checks"] if check["name"] == "oracle")
    assert oracle["evidence"] == ({"task": "t2", "saw": "reward 0"},)


def test_random_text_covers_what_breaks_parsers_and_repeats_by_seed() -> None:
    texts = [random_text(random.Random(seed)) for seed in range(400)]
    assert texts == [random_text(random.Random(seed)) for seed in range(400)]
    assert any(len(text) > 50_000 for text in texts)
    assert any("\x00" in text for text in texts)
    assert any("١" in text for text in texts)
    for text in texts:
        text.encode()


def test_a_reward_with_components_survives_the_replay() -> None:
    class Parts(Sound):
        """Pays in parts."""

        def verify(self, transcript: Transcript) -> Reward:
            return Reward(super().verify(transcript), {"asked": float(self.asked)}, f"asked {self.asked} times")

    assert not card_of(Parts).failed


def test_a_tool_that_hangs_is_waited_for_once() -> None:
    class Hanging(Environment):
        """Hang."""

        call_timeout = 0.3

        @tool
        def wait(self) -> str:
            """Wait."""
            time.sleep(60)
            return "done"

        def verify(self, transcript: Transcript) -> float:
            return float(transcript.answer == "done")

        def solution(self) -> Iterator[Any]:
            yield Call("wait")
            yield "done"

        @classmethod
        def tasks(cls) -> list[JSONObject]:
            return [{"id": f"t{i}"} for i in range(20)]

    heard: list[str] = []
    started = time.monotonic()
    effort = Effort(fuzz=10, episodes=10, interleaved=2, sample=2, seconds=0.2)
    card = card_of(Hanging, on_check=heard.append, effort=effort)
    assert time.monotonic() - started < 20
    assert named(card, "oracle").reason == "tool `wait` took longer than 0.3 s"
    assert "before `oracle` is mended" in named(card, "replay").reason
    assert heard == [check.name for check in card.checks]


def test_a_leak_is_not_looked_for_where_there_is_no_answer() -> None:
    class Open(Environment):
        """Anything goes."""

        def verify(self, transcript: Transcript) -> float:
            return 0.0

        @classmethod
        def tasks(cls) -> list[JSONObject]:
            return [{"id": "a", "key": "swordfish"}]

    check = named(card_of(Open), "no_leak")
    assert check.status == "skip" and "no answer to look for" in check.reason
