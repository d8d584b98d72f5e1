"""Rollouts that are scored together: once all have ended, exactly once, whatever is interrupted in between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.client import GroupVerdict
from gym_mcp.coordinator import journal
from gym_mcp.coordinator.run import Outcome, resume, start, summarize
from gym_mcp.coordinator.score import recorded, score_all
from gym_mcp.direct import DirectClient
from gym_mcp.hub import load_environment
from gym_mcp.reverify.job import Wish, prepared
from gym_mcp.types import GroupRollout, JSONObject, Task
from tests.coordinator.kit import config, make_harness, pairs, read_lines, write_rows
from tests.coordinator.runs import draining, edit
from tests.support import run

GROUPED = Path(__file__).resolve().parents[1] / "environments" / "grouped.py"
EVERY = [(task, repeat) for task in range(3) for repeat in range(4)]


# When the first group is scored, one rollout of the second has ended and the others are under way.
STAGGERED = """
from pathlib import Path
files = [Path(__file__).parent / "run" / f"rollouts.{name}jsonl" for name in ("", "waiting.")]
if "Go 0." not in str(session.prompt):
    files.pop()
    run.others = getattr(run, "others", 0) + 1
async with asyncio.timeout(20):
    while (len(files) > 1 or run.others > 1) and not any(f.stat().st_size for f in files):
        await asyncio.sleep(0.01)
return Transcript((await model.respond(Request(session.prompt))).output)
"""


class Bench:
    """Three tasks x four repeats of the grouped environment in `folder/run`."""

    def __init__(self, folder: Path, tasks: int = 3, **data: Any) -> None:
        self.path = folder / "run"
        self.rollouts = self.path / "rollouts.jsonl"
        self.waiting = self.path / "rollouts.waiting.jsonl"
        rows = [{"id": f"t{i}", "prompt": f"Go {i}.", "data": data} for i in range(tasks)]
        self.input = write_rows(folder / "rows.jsonl", rows)
        self.settings: JSONObject = {"input": self.input, "repeats": 4, "concurrency": 5}

    def start(self, after: int | None = None, **settings: Any) -> Outcome:
        listener, on_ready = draining(after)
        made = config(GROUPED, **{**self.settings, **settings})
        return run(lambda: start(made, self.path, [listener], on_ready))

    def rows(self) -> list[JSONObject]:
        return read_lines(self.rollouts)


def test_a_group_is_scored_once_all_its_rollouts_have_ended(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    done = bench.start()
    assert done.complete and done.metrics["mean_reward"] == 0.25
    rows = bench.rows()
    assert sorted(pairs(rows)) == EVERY and not bench.waiting.exists()
    for row in rows:
        assert (row["reward"], row["notes"]) == (0.25, "0,1,2,3")
        assert row["components"] == {"members": 4.0, "repeat": float(row["repeat"])}
        assert row["before_group"] == {"reward": 1.0, "components": {"alone": 1.0}, "notes": "alone"}


def test_rollouts_without_a_score_are_left_out_of_their_group(tmp_path: Path) -> None:
    bench = Bench(tmp_path, fail=1)
    bench.start()
    rows = bench.rows()
    assert sorted(pairs(rows)) == EVERY
    scored = [row for row in rows if row["outcome"] == "scored"]
    assert 0 < len(scored) < 12
    for row in scored:
        members = [r["repeat"] for r in scored if r["task_index"] == row["task_index"]]
        assert row["notes"] == ",".join(map(str, sorted(members)))
        assert row["reward"] == pytest.approx(1 / len(members))


@pytest.mark.parametrize(
    ("mode", "kind", "told"),
    [
        ("raise", "verifier", "grouped.verify_group raised RuntimeError: no group today"),
        ("hang", "verifier", "grouped.verify_group took longer than 1 s"),
        ("few", "verifier", "returned 1 scores for 4 rollouts"),
        ("lazy", "verifier", "returned 1 scores for 4 rollouts"),
        ("lazy-raise", "verifier", "grouped.verify_group raised TypeError: no group today"),
        ("lazy-hang", "verifier", "grouped.verify_group took longer than 1 s"),
        ("none", "verifier", "returned None, which is no list"),
        ("beyond", "verifier", "returned 7, outside its range"),
        ("judge", "judge", "needs a judge model"),
    ],
)
def test_a_group_that_cannot_be_scored_fails_by_owner(tmp_path: Path, mode: str, kind: str, told: str) -> None:
    bench = Bench(tmp_path, tasks=1, group=mode)
    done = bench.start()
    assert done.complete and done.metrics["failed"] == {kind: 4}
    for row in bench.rows():
        assert told in row["failure"]["message"] and row["reward"] is None
        assert row["before_group"]["reward"] == 1.0


def test_a_bug_of_ours_in_one_group_does_not_take_the_others_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = DirectClient.verify_group

    async def broken(self: DirectClient, task: Task[Any], rollouts: Sequence[GroupRollout]) -> GroupVerdict:
        if task.id.endswith("1"):
            raise KeyError("ours")
        return await whole(self, task, rollouts)

    monkeypatch.setattr(DirectClient, "verify_group", broken)
    bench = Bench(tmp_path)
    done = bench.start()
    assert done.complete and done.metrics["failed"] == {"harness": 4} and done.metrics["scored"] == 8
    failed = next(row for row in bench.rows() if row["outcome"] == "failed")
    assert failed["failure"]["message"] == "internal error: KeyError: 'ours'"
    assert "in broken" in failed["failure"]["detail"]


def test_an_interrupted_run_keeps_what_waits_and_runs_the_rest(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    harness = make_harness(tmp_path, STAGGERED)
    first = bench.start(after=1, harness=str(harness), concurrency=6)
    assert not first.complete
    waiting = {(r["task_index"], r["repeat"]) for r in read_lines(bench.waiting)}
    final = set(pairs(bench.rows()))
    left = {pair for pair in waiting if pair not in final}
    assert final and left, "nothing was waiting: the test proves nothing"
    seeds = {(r["task_index"], r["repeat"]): r["timing"]["started"] for r in read_lines(bench.waiting)}
    assert summarize(bench.path).metrics["missing"] == 12 - len(final)
    done = run(lambda: resume(bench.path))
    rows = bench.rows()
    assert done.complete and sorted(pairs(rows)) == EVERY and not bench.waiting.exists()
    assert all(row["reward"] == 0.25 for row in rows)
    ran = {(r["task_index"], r["repeat"]): r["timing"]["started"] for r in rows}
    assert all(ran[pair] == seeds[pair] for pair in waiting), "what waited was run again"


def test_killed_between_the_last_rollout_and_the_groups_score(tmp_path: Path) -> None:
    """Also with a group torn apart, as a power cut may leave it."""
    bench = Bench(tmp_path)
    bench.start()
    rows = sorted(bench.rows(), key=lambda r: (r["task_index"], r["repeat"]))
    journal.rewrite(bench.waiting, iter(rows))
    journal.rewrite(bench.rollouts, iter(rows[:6]))
    started = [row["timing"]["started"] for row in rows]
    done = run(lambda: resume(bench.path))
    again = sorted(bench.rows(), key=lambda r: (r["task_index"], r["repeat"]))
    assert done.complete and pairs(again) == EVERY and not bench.waiting.exists()
    assert [row["timing"]["started"] for row in again] == started
    assert all(row["reward"] == 0.25 for row in again)


def test_failed_groups_are_scored_again_without_running_anything(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    broken = tmp_path / "broken"
    broken.touch()
    bench.settings["env"] = {"broken": str(broken)}
    assert bench.start().metrics["failed"] == {"verifier": 12}
    started = sorted(row["timing"]["started"] for row in bench.rows())
    broken.unlink()
    done = run(lambda: resume(bench.path, retry_failed=True))
    assert done.metrics["failed"] == {} and done.metrics["mean_reward"] == 0.25
    assert sorted(row["timing"]["started"] for row in bench.rows()) == started
    assert len(read_lines(bench.path / "rollouts.superseded.jsonl")) == 12


def test_a_changed_verifier_scores_the_groups_again(tmp_path: Path) -> None:
    source = tmp_path / "grouped.py"
    source.write_text(GROUPED.read_text())
    bench = Bench(tmp_path)
    made = config(source, **bench.settings)
    run(lambda: start(made, bench.path))
    edit(source, "Reward(1 / len(rollouts),", "Reward(0.5 / len(rollouts),")
    done = run(lambda: resume(bench.path))
    assert done.complete and done.metrics["mean_reward"] == 0.125
    assert all(row["before_group"]["reward"] == 1.0 for row in bench.rows())


def test_a_changed_verifier_scores_what_waits_again_too(tmp_path: Path) -> None:
    source = tmp_path / "grouped.py"
    source.write_text(GROUPED.read_text())
    bench = Bench(tmp_path)
    harness = make_harness(tmp_path, STAGGERED)
    listener, on_ready = draining(1)
    made = config(source, **{**bench.settings, "harness": str(harness), "concurrency": 6})
    assert not run(lambda: start(made, bench.path, [listener], on_ready)).complete
    assert read_lines(bench.waiting)
    edit(source, 'Reward(1.0, {"alone": 1.0}, "alone")', 'Reward(0.5, {"alone": 1.0}, "alone")')
    done = run(lambda: resume(bench.path))
    assert done.complete and done.metrics["mean_reward"] == 0.25
    assert {row["before_group"]["reward"] for row in bench.rows()} == {0.5}


@pytest.mark.parametrize("broken_first", [False, True])
def test_groups_are_verified_again_beside_the_run(tmp_path: Path, broken_first: bool) -> None:
    bench = Bench(tmp_path)
    broken = tmp_path / "broken"
    bench.settings["env"] = {"broken": str(broken)}
    if broken_first:
        broken.touch()
    bench.start()
    broken.unlink(missing_ok=True)
    before = bench.rollouts.read_bytes()

    async def again(**wishes: Any) -> JSONObject:
        async with prepared(Wish(bench.path, **wishes)) as job:
            return await job.carry_out()

    run(lambda: again(out=tmp_path / "same", everything=True))
    assert bench.rollouts.read_bytes() == before
    rows = read_lines(tmp_path / "same" / "rollouts.jsonl")
    assert sorted(pairs(rows)) == EVERY and {row["reward"] for row in rows} == {0.25}
    other = tmp_path / "other.py"
    other.write_text(GROUPED.read_text().replace("1 / len(rollouts)", "r.repeat / 10"))
    run(lambda: again(out=tmp_path / "other", verifier_from=other))
    rows = read_lines(tmp_path / "other" / "rollouts.jsonl")
    assert [row["reward"] for row in sorted(rows, key=lambda r: r["repeat"])][::3] == pytest.approx(
        [0, 0.1, 0.2, 0.3]
    )


def test_recorded_replies_of_a_task_are_one_group(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=2)
    replies = write_rows(tmp_path / "replies.jsonl", [{"task_id": f"t{i}", "reply": "x"} for i in (0, 1, 0, 0)])
    cls = load_environment(str(GROUPED))

    async def score() -> list[JSONObject]:
        from gym_mcp.coordinator.score import TaskIndex
        from gym_mcp.datasets import load_tasks

        index = TaskIndex.of(load_tasks(cls, bench.input))
        async with DirectClient(cls) as client:
            return [line async for line in score_all(client, recorded(cls, replies, index))]

    lines = run(score)
    assert [line["task"] for line in lines] == ["t0", "t1", "t0", "t0"]
    assert [line["reward"] for line in lines] == pytest.approx([1 / 3, 1.0, 1 / 3, 1 / 3])
