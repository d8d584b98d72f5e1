"""A re-verification that is killed goes on where it stopped, and takes nothing from another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.coordinator.run import resume
from gym_mcp.judge import Judge
from gym_mcp.reverify.job import Job, Wish, prepared
from gym_mcp.reverify.rescore import SCRATCH, Rescoring, keep
from tests.coordinator.kit import read_lines
from tests.coordinator.runs import Workbench, edit
from tests.reverify.test_job import SCORE, bench, planned, reverified


class Killed(BaseException):
    """Stands for the end of the process."""


async def killed_after(b: Workbench, count: int, **wishes: Any) -> None:
    done = 0

    def on_done() -> None:
        nonlocal done
        done += 1
        if done == count:
            raise Killed

    with pytest.raises(BaseExceptionGroup):
        async with prepared(Wish(b.run_dir, concurrency=2, **wishes)) as job:
            await job.carry_out(on_done)


def counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that are scored again from now on."""
    import gym_mcp.reverify.rescore as module

    seen: list[str] = []
    original = module.score_again

    async def counted(client: Any, task: Any, row: Any) -> None:
        seen.append(f"{row['task_id']}/{row['repeat']}")
        await original(client, task, row)

    monkeypatch.setattr(module, "score_again", counted)
    return seen


@pytest.mark.parametrize("torn", [b"", b'{"task_id": "t0", "task_in'])
def test_a_killed_one_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: bytes) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        before = b.rollouts.read_bytes()
        edit(b.environment, SCORE, "self.value / 4")
        await killed_after(b, 3, in_place=True)
        assert b.rollouts.read_bytes() == before, "nothing may change before all is scored"
        scratch = b.run_dir / SCRATCH
        done = len(read_lines(scratch))
        assert 0 < done < 6
        with scratch.open("ab") as file:
            file.write(torn)
        seen = counting(monkeypatch)
        report = await reverified(b, in_place=True)
        assert len(seen) == 6 - done
        assert report["rollouts"] == {"down": 6}
        assert {r["reward"] for r in read_lines(b.rollouts)} == {0.5}

    bench(tmp_path, body)


def test_another_verifier_starts_afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        edit(b.environment, SCORE, "self.value / 4")
        await killed_after(b, 3, in_place=True)
        edit(b.environment, "self.value / 4", "self.value / 8")
        seen = counting(monkeypatch)
        await reverified(b, in_place=True)
        assert len(seen) == 6 and {r["reward"] for r in read_lines(b.rollouts)} == {0.25}

    bench(tmp_path, body)


def test_killed_at_any_step_of_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However far the last steps came, the next try ends in the same rows, and the first journal is kept."""

    async def body(b: Workbench) -> None:
        await b.start()
        before = b.rollouts.read_bytes()
        edit(b.environment, SCORE, "self.value / 4")

        def die(*args: Any, **kwargs: Any) -> Any:
            raise Killed

        for owner, name in (
            (Rescoring, "finish"),
            (Job, "_new_manifest"),
            (Rescoring, "forget"),
        ):
            with monkeypatch.context() as m:
                m.setattr(owner, name, die)
                async with prepared(Wish(b.run_dir, in_place=True, everything=True)) as job:
                    with pytest.raises(Killed):
                        await job.carry_out()
        await reverified(b, in_place=True, everything=True)
        assert {r["reward"] for r in read_lines(b.rollouts)} == {0.5} and len(read_lines(b.rollouts)) == 6
        assert (b.run_dir / "rollouts.before-reverify.jsonl").read_bytes() == before

    bench(tmp_path, body)


def test_a_rollout_that_ran_anew_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        edit(b.environment, SCORE, "self.value / 4")
        await killed_after(b, 5, in_place=True)
        rows = read_lines(b.rollouts)
        for row in rows:
            row["timing"]["started"] += 1
            row["usage"]["output_tokens"] = 77
        b.rollouts.write_text("".join(json.dumps(row) + "\n" for row in rows))
        await reverified(b, in_place=True)
        assert {(r["reward"], r["usage"]["output_tokens"]) for r in read_lines(b.rollouts)} == {(0.5, 77)}

    bench(tmp_path, body)


def test_resume_goes_on_with_a_killed_one_too(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start(after=3)
        edit(b.environment, SCORE, "self.value / 4")
        await killed_after(b, 2, in_place=True)
        outcome = await resume(b.run_dir)
        assert outcome.complete and {r["reward"] for r in read_lines(b.rollouts)} == {0.5}
        assert (await planned(b))["reuse"] == 6

    bench(tmp_path, body)


def test_a_journal_is_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    path.write_text("one\n")
    first = keep(path)
    assert keep(path) == first and first.read_text() == "one\n"
    other = tmp_path / "new"
    other.write_text("two\n")
    other.replace(path)
    assert keep(path).name == "rollouts.before-reverify.2.jsonl" and first.read_text() == "one\n"


def test_a_judge_is_asked_anew_and_accounted_for(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        edit(b.environment, "    def verify(", "    async def verify(")
        edit(b.environment, SCORE, "float(await self.judge.ask('ok?') == 'yes')")
        replies = tmp_path / "judge.jsonl"

        def write(*answers: str) -> str:
            lines = [json.dumps({"task": f"t{i}", "replies": list(answers)}) for i in range(3)]
            replies.write_text("\n".join(lines))
            return f"replay:{replies}"

        await b.start(judge=write("yes", "yes"))
        other = tmp_path / "other.jsonl"
        write("no", "yes")
        replies.rename(other)
        report = await reverified(b, judge=f"replay:{other}")
        assert report["rollouts"] == {"down": 3, "same": 3}
        assert [c.split(":")[0] for c in report["plan"]["changed"]] == ["judge"]
        short = tmp_path / "short.jsonl"
        write("no")
        replies.rename(short)
        report = await reverified(b, judge=f"replay:{short}", out=tmp_path / "short")
        assert report["not_verified"] == {"judge": 3}
        assert Judge.spec is None, "the class itself was given a judge"

    bench(tmp_path, body)
