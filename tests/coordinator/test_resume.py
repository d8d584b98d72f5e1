"""Resume is a set difference: what is scored never runs again, and another run is never mixed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from gym_mcp.coordinator.journal import DamagedJournal, line_of
from gym_mcp.coordinator.run import resume, summarize
from gym_mcp.errors import UsageError
from gym_mcp.reverify.job import Wish, prepared
from tests.coordinator.kit import make_harness, pairs, read_lines, write_rows
from tests.coordinator.runs import CALLS, COUNTER, SCRIPT, Workbench, edit, forget
from tests.endpoint import FAULTS, Endpoint, Script, faulty
from tests.support import run

EVERY = [(task, repeat) for task in range(4) for repeat in range(2)]


def bench(folder: Path, body: Callable[[Workbench], Awaitable[None]], script: Script = SCRIPT) -> None:
    async def main() -> None:
        async with Endpoint(script) as endpoint:
            await body(Workbench(folder, endpoint))

    run(main)


def test_what_is_journalled_stays_as_it_is_and_the_rest_is_run_once(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        first = await b.start(after=2)
        assert not first.complete
        before = b.rollouts.read_bytes()
        done = len(before.splitlines())
        assert 2 <= done < 8 and first.metrics["missing"] == 8 - done
        assert b.endpoint.requests == CALLS * done
        second = await resume(b.run_dir)
        assert second.complete and second.metrics["scored"] == 8
        assert b.rollouts.read_bytes().startswith(before)
        assert sorted(pairs(read_lines(b.rollouts))) == EVERY
        assert b.endpoint.requests == CALLS * 8
        await resume(b.run_dir)
        await b.start()
        assert b.endpoint.requests == CALLS * 8, "a finished run was run again"
        assert orjson.loads((b.run_dir / "metrics.json").read_bytes()) == second.metrics

    bench(tmp_path, body)


def test_an_interrupted_run_comes_to_the_same_as_one_in_one_go(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        whole = (await b.start()).metrics
        rows = sorted(read_lines(b.rollouts), key=lambda r: (r["task_index"], r["repeat"]))
        b.run_dir = b.folder / "other"
        b.rollouts = b.run_dir / "rollouts.jsonl"
        for _ in range(8):
            parts = (await b.start(after=1)).metrics
        assert {**parts, "run_id": ""} == {**whole, "run_id": ""}
        again = sorted(read_lines(b.rollouts), key=lambda r: (r["task_index"], r["repeat"]))
        assert [(r["seed"], r["reward"], r["response"]) for r in rows] == [
            (r["seed"], r["reward"], r["response"]) for r in again
        ]

    bench(tmp_path, body)


@pytest.mark.parametrize("bytes_lost", [1, 2, 40, 10**9])
def test_a_torn_last_line_is_repaired_and_run_again(tmp_path: Path, bytes_lost: int) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        whole = b.rollouts.read_bytes()
        last = len(whole) - (whole.rindex(b"\n", 0, -1) + 1)
        lost = min(bytes_lost, last)
        b.rollouts.write_bytes(whole[: len(whole) - lost])
        assert (await resume(b.run_dir)).complete
        assert sorted(pairs(read_lines(b.rollouts))) == EVERY
        assert b.endpoint.requests == CALLS * (8 if lost == 1 else 9)

    bench(tmp_path, body)


def test_rows_that_stand_twice_are_dropped_and_strange_ones_refused(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        whole = b.rollouts.read_bytes()
        b.rollouts.write_bytes(whole + whole.splitlines(keepends=True)[3])
        assert summarize(b.run_dir).metrics["scored"] == 8
        assert (await resume(b.run_dir)).metrics["scored"] == 8
        assert b.rollouts.read_bytes() == whole
        for odd in ({"task_index": 99}, {"repeat": 2}, {"task_index": -1}, {"task_index": "0"}):
            b.rollouts.write_bytes(whole + line_of({**read_one(whole), **odd}))
            with pytest.raises(DamagedJournal, match="is not of this run"):
                await resume(b.run_dir)
        b.rollouts.write_bytes(b"garbage\n" + whole)
        with pytest.raises(DamagedJournal, match=r"rollouts\.jsonl:1: not a rollout"):
            await resume(b.run_dir)
        assert b.endpoint.requests == CALLS * 8

    bench(tmp_path, body)


def read_one(whole: bytes) -> dict[str, Any]:
    row: dict[str, Any] = orjson.loads(whole.splitlines()[0])
    return row


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model": "openai/other"}, "model: "),
        ({"model": "openai-chat/m"}, "model: "),
        ({"sampling": {"temperature": 0.5}}, "sampling: "),
        ({"seed": 1}, "seed: 0 -> 1"),
        ({"repeats": 3}, "repeats: 2 -> 3"),
        ({"limit": 3}, "tasks: "),
        ({"limits": {"turns": 5}}, "limits: "),
    ],
)
def test_other_settings_are_another_run(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    async def body(b: Workbench) -> None:
        await b.start(after=1)
        before, requests = b.rollouts.read_bytes(), b.endpoint.requests
        with pytest.raises(UsageError, match="holds another run") as caught:
            await b.start(**settings)
        assert told in str(caught.value) and str(b.run_dir) in str(caught.value)
        assert (b.rollouts.read_bytes(), b.endpoint.requests) == (before, requests)

    bench(tmp_path, body)


@pytest.mark.parametrize("settings", [{"concurrency": 1}, {"model_timeout": 5.0}, {"max_retries": 3}])
def test_settings_that_decide_no_result_may_change(tmp_path: Path, settings: dict[str, Any]) -> None:
    async def body(b: Workbench) -> None:
        await b.start(after=1)
        assert (await b.start(**settings)).complete

    bench(tmp_path, body)


def test_a_changed_prompt_or_task_is_refused(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start(after=1)
        for rows in (b.rows(4, prompt="Count!"), b.rows(5), b.rows(4)[::-1]):
            write_rows(b.input, rows)
            with pytest.raises(UsageError, match=r"holds another run .*tasks: "):
                await b.start()
        tasks = b.run_dir / "tasks.jsonl"
        tasks.write_bytes(tasks.read_bytes().replace(b"Count.", b"Count?", 1))
        with pytest.raises(UsageError, match="cannot be resumed, this changed: tasks: "):
            await resume(b.run_dir)

    bench(tmp_path, body)


def test_the_input_file_is_needed_no_more(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start(after=1)
        b.input.unlink()
        assert (await resume(b.run_dir)).complete

    bench(tmp_path, body)


@pytest.mark.parametrize(
    ("old", "new"),
    [("self.value = 0", "self.value = 1"), ("Add to the counter.", "Add."), ("Count to two.", "Count to 2.")],
)
def test_a_changed_environment_is_refused(tmp_path: Path, old: str, new: str) -> None:
    async def body(b: Workbench) -> None:
        await b.start(after=1)
        requests = b.endpoint.requests
        edit(b.environment, old, new)
        with pytest.raises(UsageError, match="cannot be resumed, this changed: environment: "):
            await resume(b.run_dir)
        assert b.endpoint.requests == requests

    bench(tmp_path, body)


def test_comments_and_layout_are_no_change(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start(after=1)
        edit(b.environment, "        self.value = 0\n", "\n        # from the start\n        self.value = 0\n\n")
        assert (await resume(b.run_dir)).complete
        assert b.endpoint.requests == CALLS * 8

    bench(tmp_path, body)


def test_a_changed_harness_is_refused_and_its_neighbours_are_not_it(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        harness = make_harness(b.folder, "await model.respond(Request(session.prompt))\nreturn Transcript()")
        await b.start(after=1, harness=str(harness))
        (b.folder / "notes.txt").write_text("the run directory lies here, too")
        assert (await resume(b.run_dir)).complete
        edit(harness, "return Transcript()", "return Transcript([])")
        with pytest.raises(UsageError, match="cannot be resumed, this changed: harness: crooked:"):
            await resume(b.run_dir)

    bench(tmp_path, body)


def test_failed_rollouts_run_again_when_asked_and_stay_on_record(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        outcome = await b.start(concurrency=1)
        assert outcome.complete and outcome.metrics["failed"] == {"model": 3}
        scored = [r for r in read_lines(b.rollouts) if r["outcome"] == "scored"]
        failed = [r for r in read_lines(b.rollouts) if r["outcome"] == "failed"]
        assert b.endpoint.requests == 3 + CALLS * 5
        await resume(b.run_dir)
        assert b.endpoint.requests == 3 + CALLS * 5, "a failed rollout is terminal"
        again = await resume(b.run_dir, retry_failed=True)
        assert again.metrics["scored"] == 8 and again.metrics["failed"] == {}
        assert b.endpoint.requests == 3 + CALLS * 8
        rows = read_lines(b.rollouts)
        assert sorted(pairs(rows)) == EVERY and rows[:5] == scored
        assert read_lines(b.run_dir / "rollouts.superseded.jsonl") == failed

    bench(tmp_path, body, faulty(SCRIPT, FAULTS["500"], first=3))


def test_resume_from_another_folder_finds_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(b: Workbench) -> None:
        monkeypatch.chdir(b.folder)
        make_harness(b.folder, "await model.respond(Request(session.prompt))\nreturn Transcript()")
        b.environment, b.input = Path("counter.py"), Path("rows.jsonl")
        await b.start(after=1, harness="crooked.py")
        monkeypatch.chdir("/")
        assert (await resume(b.run_dir)).complete

    bench(tmp_path, body)


def test_credentials_of_a_url_are_not_kept_and_asked_for_again(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        url = b.endpoint.url.replace("http://", "http://me:hunter2@")
        await b.start(after=1, base_url=url)
        for path in b.run_dir.iterdir():
            assert b"hunter2" not in path.read_bytes(), path
        with pytest.raises(UsageError, match="give it again with --base-url"):
            await resume(b.run_dir)
        assert (await resume(b.run_dir, base_url=url)).complete

    bench(tmp_path, body)


def test_credentials_of_a_judges_url_are_not_kept_and_asked_for_again(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        judge: dict[str, Any] = {"judge": "openai/j", "judge_base_url": "http://me:hunter2@127.0.0.1:1/v1"}
        await b.start(after=1, **judge)
        for path in b.run_dir.iterdir():
            assert b"hunter2" not in path.read_bytes(), path
        with pytest.raises(UsageError, match="give it again with --judge-base-url"):
            await resume(b.run_dir)
        assert (await resume(b.run_dir, judge_base_url=judge["judge_base_url"])).complete
        with pytest.raises(UsageError, match="give it with --judge-base-url"):
            async with prepared(Wish(b.run_dir)):
                pass

    bench(tmp_path, body)


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        write_rows(b.input, [*b.rows(3), {"id": "t0", "prompt": "again"}])
        with pytest.raises(UsageError, match=r"rows\.jsonl:4: task id `t0` is used twice"):
            await b.start()
        assert not b.run_dir.exists()
        b.input.write_bytes(b"\n")
        with pytest.raises(UsageError, match="no tasks in it"):
            await b.start()
        assert not b.run_dir.exists()

    bench(tmp_path, body)


def test_the_environment_of_this_test_is_imported_anew(tmp_path: Path) -> None:
    path = tmp_path / "counter.py"
    path.write_text(COUNTER)
    from gym_mcp.hub import load_environment

    first = load_environment(str(path))
    assert load_environment(str(path)) is first
    forget(path)
    assert load_environment(str(path)) is not first
