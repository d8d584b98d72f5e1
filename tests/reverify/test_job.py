"""`eval reverify`: what is planned, what is done, what is kept, and what another verifier makes of a run."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.coordinator.run import resume, summarize
from gym_mcp.errors import UsageError
from gym_mcp.reverify.job import Wish, prepared
from gym_mcp.reverify.rescore import SCRATCH, STATE
from gym_mcp.types import JSONObject
from tests.coordinator.kit import read_lines
from tests.coordinator.runs import SCRIPT, Workbench, edit
from tests.endpoint import Endpoint, Script
from tests.support import run

SCORE = "float(self.value == 2)"
STRICTER = '''"""Another verifier."""

from pydantic import BaseModel

from gym_mcp import Environment, Reward


class Row(BaseModel):
    i: int


class Stricter(Environment[Row]):
    """Half a point for the tasks whose number is odd."""

    reward_range = (-1.0, 1.0)

    async def verify(self, transcript):
        return Reward(self._points(), {"value": self.value / 4, "odd": self.task.data.i % 2})

    def _points(self):
        return 0.5 if self.task.data.i % 2 else 1.0
'''


def bench(folder: Path, body: Callable[[Workbench], Awaitable[None]], script: Script = SCRIPT) -> None:
    async def main() -> None:
        async with Endpoint(script) as endpoint:
            await body(Workbench(folder, endpoint, tasks=3))

    run(main)


async def reverified(b: Workbench, **wishes: Any) -> JSONObject:
    async with prepared(Wish(b.run_dir, **wishes)) as job:
        return await job.carry_out()


async def planned(b: Workbench, **wishes: Any) -> JSONObject:
    async with prepared(Wish(b.run_dir, **wishes)) as job:
        return job.plan.as_json()


def why(plan: JSONObject) -> dict[tuple[str, str], int]:
    return {(w["action"], w["why"]): w["rollouts"] for w in plan["why"]}


def test_a_plan_for_every_kind_of_rollout(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        rows = read_lines(b.rollouts)
        for row, kind in zip(rows[:3], ("model", "verifier", "judge"), strict=True):
            row.update(outcome="failed", reward=None, failure={"kind": kind, "message": "m"})
        b.rollouts.write_text("".join(json.dumps(row) + "\n" for row in rows[:5]))
        same = {
            ("reuse", "scored by this verifier"): 2,
            ("re-verify", "failed in the judge"): 1,
            ("re-verify", "failed in the verifier"): 1,
            ("re-run", "failed: model"): 1,
            ("re-run", "missing"): 1,
        }
        assert why(await planned(b)) == same
        everything = why(await planned(b, everything=True))
        assert everything["re-verify", "scored by this verifier; --all asks for it"] == 2
        edit(b.environment, SCORE, "self.value / 4")
        plan = await planned(b)
        assert (plan["reuse"], plan["re-verify"], plan["re-run"]) == (0, 4, 2)
        assert why(plan)["re-verify", "scored by another verifier or judge"] == 2
        assert [c.split(":")[0] for c in plan["changed"]] == ["verifier"]
        assert len(read_lines(b.rollouts)) == 5 and not (b.run_dir / STATE).exists()

    bench(tmp_path, body)


def test_the_diff_says_what_changed(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        edit(b.environment, SCORE, "self.value / (4 if self.task.data['i'] else 2)")
        before = read_lines(b.rollouts)
        report = await reverified(b)
        out = Path(report["out"])
        assert report["rollouts"] == {"down": 4, "same": 2}
        assert report["headline"]["mean_reward"] == [1.0, pytest.approx(2 / 3)]
        assert report["headline"]["pass_at_1"] == [1.0, pytest.approx(1 / 3)]
        assert report["tasks_changed"] == 2
        assert {t["task_id"]: (t["before"], t["after"], t["changed"]) for t in report["tasks"]} == {
            "t1": (1.0, 0.5, 2),
            "t2": (1.0, 0.5, 2),
        }
        assert report["components"]["value"] == {"rollouts": 6, "before": 2.0, "after": 2.0, "changed": 0}
        assert read_lines(b.rollouts) == before, "the run itself was touched"
        rows = read_lines(out / "rollouts.jsonl")
        assert [(r["task_id"], r["repeat"]) for r in rows] == [(r["task_id"], r["repeat"]) for r in before]
        changes = read_lines(out / "reverify-changes.jsonl")
        assert {(c["task_id"], c["change"], c["after"]["reward"]) for c in changes} == {
            ("t1", "down", 0.5),
            ("t2", "down", 0.5),
        }
        manifest = json.loads((out / "manifest.json").read_text())
        assert manifest["run_id"] != json.loads((b.run_dir / "manifest.json").read_text())["run_id"]
        assert rows[0]["rollout_id"] == f"{manifest['run_id']}/{rows[0]['task_id']}/{rows[0]['repeat']}"
        assert summarize(out).metrics == json.loads((out / "metrics.json").read_text())
        assert not (out / STATE).exists() and not (out / SCRATCH).exists()

    bench(tmp_path, body)


def test_every_earlier_journal_is_kept(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        journals = [b.rollouts.read_bytes()]
        for old, new in ((SCORE, "self.value / 4"), ("self.value / 4", "self.value / 5")):
            edit(b.environment, old, new)
            await reverified(b, in_place=True)
            journals.append(b.rollouts.read_bytes())
        edit(b.environment, "self.value / 5", "self.value / 8")
        await resume(b.run_dir)
        names = ["before-reverify.jsonl", "before-reverify.2.jsonl", "before-reverify.3.jsonl"]
        assert [(b.run_dir / f"rollouts.{n}").read_bytes() for n in names] == journals
        assert {r["reward"] for r in read_lines(b.rollouts)} == {0.25}
        assert (await planned(b))["reuse"] == 6

    bench(tmp_path, body)


def test_another_environments_verify_is_used_for_the_same_rollouts(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        other = tmp_path / "stricter.py"
        other.write_text(STRICTER)
        report = await reverified(b, verifier_from=other, out=tmp_path / "out")
        assert report["rollouts"] == {"components": 4, "down": 2}
        assert report["components_only_after"] == {"odd": 6}
        assert report["components"]["value"]["after"] == 0.5
        rows = read_lines(tmp_path / "out" / "rollouts.jsonl")
        assert {(r["task_id"], r["reward"]) for r in rows} == {("t0", 1.0), ("t1", 0.5), ("t2", 1.0)}
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
        assert manifest["environment"]["reward_range"] == [-1.0, 1.0]
        assert manifest["verifier_from"] == str(other)
        with pytest.raises(UsageError, match="holds scores by the verifier of"):
            await resume(tmp_path / "out")
        with pytest.raises(UsageError, match="not with --verifier-from"):
            await reverified(b, verifier_from=other, in_place=True)
        assert (await planned(b))["reuse"] == 6, "the original knows nothing of it"
        assert (await planned(b, verifier_from=b.environment))["reuse"] == 6

    bench(tmp_path, body)


def test_a_verify_that_wants_other_state_is_a_verifier_error(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        other = tmp_path / "alien.py"
        other.write_text(STRICTER.replace("self.value / 4", "self.height"))
        report = await reverified(b, verifier_from=other)
        assert report["rollouts"] == {"newly_failed": 6} and report["not_verified"] == {"verifier": 6}
        assert "AttributeError" in report["not_verified_examples"]["verifier"]

    bench(tmp_path, body)


def test_a_changed_environment_wants_a_new_run_unless_told_otherwise(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        edit(b.environment, "self.value += amount", "self.value += amount * (1 + self.task.data['i'] // 2)")
        plan = await planned(b)
        assert (plan["reuse"], plan["re-verify"], plan["re-run"]) == (0, 0, 6)
        report = await reverified(b, despite_environment=True)
        assert report["rollouts"] == {"same": 4, "newly_failed": 2}
        assert (
            "the replay diverged: call 0 add: '4', recorded '2'" in report["not_verified_examples"]["environment"]
        )
        assert report["headline"]["scored"] == [6, 4]

    bench(tmp_path, body)


def test_what_could_not_be_verified_is_tried_again(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        edit(b.environment, SCORE, "1 / 0")
        assert (await reverified(b, in_place=True))["not_verified"] == {"verifier": 6}
        assert (await planned(b))["re-verify"] == 6
        edit(b.environment, "1 / 0", SCORE)
        report = await reverified(b, in_place=True)
        assert report["rollouts"] == {"newly_scored": 6} and report["headline"]["mean_reward"] == [None, 1.0]

    bench(tmp_path, body)


def test_mended_answers_count(tmp_path: Path) -> None:
    """The tasks of the run directory may be corrected, too."""

    async def body(b: Workbench) -> None:
        edit(b.environment, SCORE, "float(self.value == self.task.data['i'])")
        assert (await b.start()).metrics["mean_reward"] == pytest.approx(1 / 3)
        path = b.run_dir / "tasks.jsonl"
        path.write_text(path.read_text().replace('"i":1', '"i":2'))
        assert why(await planned(b)) == {("re-run", "changed since: tasks"): 6}
        report = await reverified(b, despite_environment=True, in_place=True)
        assert report["headline"]["mean_reward"] == [pytest.approx(1 / 3), pytest.approx(2 / 3)]

    bench(tmp_path, body)


def test_a_torn_run_is_read_and_left_as_it_is(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        with b.rollouts.open("ab") as file:
            file.write(b'{"task_id": "t0", "tas')
        before = b.rollouts.read_bytes()
        report = await reverified(b, everything=True)
        assert report["rollouts"] == {"same": 6} and b.rollouts.read_bytes() == before
        await reverified(b, everything=True, in_place=True)
        assert len(read_lines(b.rollouts)) == 6

    bench(tmp_path, body)


def test_only_one_at_a_time(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        async with prepared(Wish(b.run_dir)):
            with pytest.raises(UsageError, match="another process is running this run"):
                await planned(b)
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "thesis.txt").write_text("mine")
        with pytest.raises(UsageError, match="not empty"):
            await reverified(b, out=tmp_path / "full", everything=True)

    bench(tmp_path, body)
