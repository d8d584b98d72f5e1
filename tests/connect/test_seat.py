"""A seat: one attempt after the other, each with exactly one row, whatever happens in it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.connect.record import ABANDONED, Book
from gym_mcp.connect.seat import Seat
from gym_mcp.coordinator.run import summarize
from gym_mcp.errors import EnvironmentFailure, UsageError
from tests.connect.kit import Counter, Talker, make_seat, outcomes
from tests.support import run


async def played(seat: Seat, amount: int, answer: str = "done") -> dict[str, Any]:
    await seat.call("add", {"amount": amount})
    return await seat.submit(answer)


def test_tasks_come_in_order_and_each_gets_one_row(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run")
        for amount in (1, 0, 3):
            await seat.take()
            await played(seat, amount)
        assert not seat.has_next
        with pytest.raises(UsageError, match="no task is left"):
            await seat.take()
        assert outcomes(seat) == [("t1", 0, "scored", 1.0), ("t2", 0, "scored", 0.0), ("t3", 0, "scored", 1.0)]
        await seat.aclose()
        metrics = summarize(tmp_path / "run").metrics
        assert (metrics["scored"], metrics["expected"], metrics["complete"]) == (3, 3, True)
        assert (metrics["model"], metrics["harness"]) == ("unknown", "connect:test")

    run(main)


def test_a_row_holds_what_the_agent_did_and_said(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run")
        await seat.take("t2")
        row = await played(seat, 2)
        call, output, said = row["response"]["output"]
        assert (call["name"], json.loads(call["arguments"])) == ("add", {"amount": 2})
        assert (output["call_id"], output["output"]) == (call["call_id"], "2")
        assert said["content"][0]["text"] == "done"
        assert [e["name"] for e in row["ledger"]] == ["add"]
        assert row["components"] == {"said": 1.0} and row["usage"] is None
        assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
        await seat.aclose()

    run(main)


def test_submitting_again_and_at_once_scores_once(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run", tasks=[{"id": "a", "data": {"target": 1, "slow": 0.05}}])
        await seat.take()
        rows = await asyncio.gather(seat.submit("done"), seat.submit("other"), seat.submit(""))
        assert rows[0] is rows[1] is rows[2] is await seat.submit("again")
        assert await seat.call("add", {"amount": 1}) is None
        assert len(list(seat.book.rows())) == 1
        await seat.aclose()

    run(main)


def test_a_client_that_leaves_while_it_is_scored_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run", tasks=[{"id": "a", "data": {"target": 1, "slow": 0.1}}])
        await seat.take()
        await seat.call("add", {"amount": 1})
        submitting = asyncio.create_task(seat.submit("done"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        submitting.cancel()
        await asyncio.gather(submitting, return_exceptions=True)
        assert (await seat.submit(""))["reward"] == 1.0
        assert len(list(seat.book.rows())) == 1
        await seat.aclose()

    run(main)


def test_an_unfinished_task_is_kept_unless_it_is_skipped(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run")
        await seat.take()
        with pytest.raises(UsageError, match="t1 is unfinished"):
            await seat.take()
        with pytest.raises(UsageError, match="no task `tt`"):
            await seat.take("tt", skip=True)
        assert seat.unfinished, "a typing error gave the episode up"
        await seat.take(skip=True)
        assert outcomes(seat) == [("t1", 0, "cancelled", None)]
        assert seat.current.task.id == "t2"
        await seat.aclose()
        assert [o[2] for o in outcomes(seat)] == ["cancelled", "cancelled"]

    run(main)


def test_the_same_task_again_is_a_repeat_with_another_seed(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run")
        for _ in range(2):
            await seat.take("t1")
            await played(seat, 1)
        assert [o[:2] for o in outcomes(seat)] == [("t1", 0), ("t1", 1)]
        assert len({r["seed"] for r in seat.book.rows()}) == 2
        await seat.aclose()
        assert summarize(tmp_path / "run").metrics["complete"]

    run(main)


def test_idle_episodes_are_recorded(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run")
        await seat.take()
        await seat.call("add", {"amount": 1})
        await seat.sweep(60)
        assert seat.unfinished
        await seat.sweep(-1)
        (row,) = seat.book.rows()
        assert row["failure"] == {"kind": "cancelled", "message": "nothing happened for -1 s"}
        assert len(row["ledger"]) == 1 and row["response"]["output"]
        assert await seat.call("add", {"amount": 1}) is None
        await seat.aclose()

    run(main)


def test_an_episode_that_the_environment_ended_is_scored_when_nobody_submits(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run")
        await seat.take()
        await seat.call("add", {"amount": 1})
        stopped = await seat.call("stop", {})
        assert stopped is not None and stopped.ended
        await seat.sweep(-1)
        assert outcomes(seat) == [("t1", 0, "scored", 1.0)]
        assert next(iter(seat.book.rows()))["response"]["stop"] == "ended"
        await seat.aclose()

    run(main)


@pytest.mark.parametrize(("deed", "kind"), [("crash", "environment"), ("verifier", "verifier")])
def test_failures_are_their_owners(deed: str, kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run")
        await seat.take()
        if deed == "crash":
            await seat.call("crash", {})
        await seat.submit("raise" if deed == "verifier" else "")
        assert outcomes(seat) == [("t1", 0, kind, None)]
        await seat.aclose()

    run(main)


def test_an_episode_that_cannot_be_opened_has_its_row_too(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run", tasks=[{"id": "a", "data": {"broken": True}}])
        with pytest.raises(EnvironmentFailure):
            await seat.take()
        assert outcomes(seat) == [("a", 0, "environment", None)]
        assert await seat.call("add", {"amount": 1}) is None
        await seat.aclose()

    run(main)


def test_conversation_is_part_of_the_transcript(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run", Talker)
        await seat.take()
        assert await seat.say("hello") == "you said hello"
        assert await seat.say("bye") is None
        assert await seat.say("more") is None
        row = await seat.submit("")
        assert row["reward"] == 1.0
        assert [i["role"] for i in row["response"]["output"]] == ["assistant", "user", "assistant"]
        await seat.aclose()

    run(main)


def test_a_book_whose_writer_died_settles_what_was_handed_out(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run")
        await seat.take()
        await played(seat, 1)
        await seat.take()
        seat.book.directory.unlock()  # as the kernel does when a process is killed
        again = Book(Counter, "counter.py", harness="connect:test", model="unknown", out=tmp_path / "run")
        rows = list(again.rows())
        assert [(r["task_id"], r["outcome"]) for r in rows] == [("t1", "scored"), ("t2", "failed")]
        assert rows[1]["failure"] == {"kind": "cancelled", "message": ABANDONED}
        again.close()
        assert summarize(tmp_path / "run").metrics["complete"]
        await seat.service.store.close_all()

    run(main)


def test_a_book_in_use_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run")
        await seat.take()
        with pytest.raises(UsageError, match="another process"):
            make_seat(tmp_path / "run")
        await seat.aclose()

    run(main)


def test_a_book_adds_to_no_other_run(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run")
        await seat.take()
        await seat.aclose()
        for harness, cls in (("connect:other", Counter), ("connect:test", Talker)):
            with pytest.raises(UsageError, match="holds another run"):
                Book(cls, "counter.py", harness=harness, model="unknown", out=tmp_path / "run")
        manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
        del manifest["handed_out"]  # as in every run of `eval run`
        (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(UsageError, match="holds another run"):
            make_seat(tmp_path / "run")

    run(main)


def test_nothing_is_left_of_a_book_in_which_nothing_was_written(tmp_path: Path) -> None:
    make_seat(tmp_path / "run").book.close()
    assert not (tmp_path / "run").exists()
