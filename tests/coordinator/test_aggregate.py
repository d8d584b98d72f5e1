"""Merging runs: every rollout once, conflicts refused, the result a run like any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gym_mcp.analysis.profile import profile_of
from gym_mcp.coordinator.aggregate import aggregate
from gym_mcp.coordinator.journal import DamagedJournal, read_rows
from gym_mcp.errors import UsageError
from tests.analysis.made import manifest_of, rewrite_rows, write_run
from tests.cli.support import COUNTER, gym

TASKS = [{"id": f"t{i}", "data": {"x": i}} for i in range(6)]


def test_shards_of_tasks(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", [[1.0, 0.0]] * 4, tasks=TASKS[:4])
    b = write_run(tmp_path / "b", [[1.0, 1.0], [0.0, "model"]], tasks=TASKS[4:])
    outcome = aggregate([a, b], tmp_path / "all")
    assert outcome.complete and outcome.metrics["scored"] == 11 and outcome.metrics["tasks"] == 6
    assert outcome.metrics == json.loads((tmp_path / "all" / "metrics.json").read_text())
    rows = list(read_rows(tmp_path / "all" / "rollouts.jsonl"))
    assert [(r["task_id"], r["task_index"]) for r in rows[-2:]] == [("t5", 5), ("t5", 5)]
    assert rows[-1]["rollout_id"] == "b/t5/1", "the id stays that of the run that made it"
    came = manifest_of(tmp_path / "all")["merged_from"]
    assert [(c["run_id"], c["rows"], c["rows_of_others"]) for c in came] == [("a", 8, 0), ("b", 4, 0)]
    assert profile_of(tmp_path / "all")["score"]["pass"]["failed_excluded"]["tasks"] == 6


def test_shards_of_repeats_and_rows_that_both_have(tmp_path: Path) -> None:
    """Two machines that went on from a copy of the same run directory."""
    a = write_run(tmp_path / "a", [[1.0, 0.0, None, None], [1.0, None, None, None]])
    b = write_run(tmp_path / "b", [[None, None, 1.0, 1.0], [None, 0.0, 1.0, 1.0]])
    shared = (a / "rollouts.jsonl").read_bytes().splitlines(keepends=True)[0]
    rewrite_rows(b, lambda lines: [*lines, shared])
    outcome = aggregate([a, b], tmp_path / "all")
    assert outcome.complete and outcome.metrics["scored"] == 8 and outcome.metrics["repeats"] == 4
    assert [c["rows_of_others"] for c in manifest_of(tmp_path / "all")["merged_from"]] == [0, 1]


def test_a_shard_and_a_merge_that_holds_it(tmp_path: Path) -> None:
    """Its tasks have other indexes there; the rollouts are the same."""
    a = write_run(tmp_path / "a", [[1.0]] * 3, tasks=TASKS[:3])
    b = write_run(tmp_path / "b", [[0.0]] * 3, tasks=TASKS[3:])
    aggregate([a, b], tmp_path / "ab")
    outcome = aggregate([b, tmp_path / "ab"], tmp_path / "again")
    assert outcome.complete and outcome.metrics["scored"] == 6
    assert [c["rows_of_others"] for c in manifest_of(tmp_path / "again")["merged_from"]] == [0, 3]


def test_different_rollouts_of_the_same_repeat_are_refused(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a", [[1.0], [0.0]]), write_run(tmp_path / "b", [[1.0], [1.0]])
    with pytest.raises(
        UsageError, match=r"a and .*b: different rollouts of task `t0`, repeat 0 \(a/t0/0, b/t0/0\)"
    ):
        aggregate([a, b], tmp_path / "all")
    assert not (tmp_path / "all").exists(), "nothing is left of it"


@pytest.mark.parametrize(
    ("identity", "what"),
    [
        ({"model": {"spec": "m/other"}}, "model: "),
        ({"environment": "e2"}, "environment: e1 -> e2"),
        ({"limits": 1}, "limits"),
    ],
)
def test_conflicting_identities_are_refused(tmp_path: Path, identity: dict[str, object], what: str) -> None:
    a, b = write_run(tmp_path / "a", [[1.0]]), write_run(tmp_path / "b", [[1.0]], identity=identity)
    with pytest.raises(UsageError, match=f"not the same run .*{what}"):
        aggregate([a, b], tmp_path / "all")


def test_a_task_that_differs_is_refused(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", [[1.0]], tasks=TASKS[:1])
    b = write_run(tmp_path / "b", [[1.0]], tasks=[{"id": "t0", "data": {"x": 9}}])
    with pytest.raises(UsageError, match="task `t0` differs between them"):
        aggregate([a, b], tmp_path / "all")


def test_seeds_stack_when_asked_to(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a", [[1.0, 0.0]]), write_run(tmp_path / "b", [[1.0, 1.0, 0.0]], seed=1)
    with pytest.raises(UsageError, match=r"seed: 0 -> 1.*--stack"):
        aggregate([a, b], tmp_path / "all")
    outcome = aggregate([a, b], tmp_path / "all", stack=True)
    assert outcome.metrics["repeats"] == 5 and outcome.metrics["scored"] == 5
    assert [r["repeat"] for r in read_rows(tmp_path / "all" / "rollouts.jsonl")] == [0, 1, 2, 3, 4]
    with pytest.raises(UsageError, match="the same seed"):
        aggregate([a, write_run(tmp_path / "c", [[1.0]])], tmp_path / "more", stack=True)


def test_what_cannot_be_merged(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a", [[1.0]]), write_run(tmp_path / "b", [[None]])
    with pytest.raises(UsageError, match="named twice"):
        aggregate([a, a], tmp_path / "all")
    with pytest.raises(UsageError, match="holds a run already"):
        aggregate([a, b], b)
    rewrite_rows(a, lambda lines: [line.replace(b'"repeat":0', b'"repeat":9') for line in lines])
    with pytest.raises(DamagedJournal, match="repeat 9 is not of this run"):
        aggregate([a, b], tmp_path / "all")


@pytest.mark.slow
def test_a_merged_run_is_shown_compared_and_resumed(tmp_path: Path) -> None:
    """Real runs: two overlapping shards, one of them cut off, merged and finished."""
    (tmp_path / "counter.py").write_text(COUNTER + "\n    def solution(self):\n        return 'x'\n")
    for name, numbers in (("a", range(3)), ("b", range(3, 6))):
        lines = [json.dumps({"id": f"t{i}", "data": {"target": i % 2}}) for i in numbers]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
        arguments = ("-e", "counter.py", "-m", "builtin/oracle", "--repeats", "2", "-q")
        done = gym("eval", "run", *arguments, "--input", f"{name}.jsonl", "--out", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    rewrite_rows(tmp_path / "b", lambda lines: lines[:-1])
    merged = gym("eval", "aggregate", "a", "b", "--out", "all", "--json", cwd=tmp_path)
    assert merged.returncode == 0 and json.loads(merged.stdout)["missing"] == 1, merged.stderr
    assert "11 / 0 / 12" in gym("eval", "show", "all", cwd=tmp_path).stdout
    resumed = gym("eval", "resume", "all", "-q", cwd=tmp_path)
    assert resumed.returncode == 0 and "12 / 0 / 12" in resumed.stdout, resumed.stderr
    assert json.loads(gym("eval", "profile", "all", "--json", cwd=tmp_path).stdout)["counts"]["complete"]
