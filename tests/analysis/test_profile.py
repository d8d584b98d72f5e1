"""The profile of a run: known failure cases of other systems, and numbers computed in the plainest way."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.analysis.profile import per_task, profile, profile_of
from gym_mcp.analysis.read import read_run
from gym_mcp.coordinator.journal import DamagedJournal
from gym_mcp.coordinator.run import summarize
from gym_mcp.errors import UsageError
from tests.analysis.made import Score, manifest_of, read, rewrite_rows, row, said, write_run
from tests.cli.support import COUNTER, ROOT, gym, process_env


def values(curve: list[dict[str, Any]]) -> list[float]:
    return [point["value"] for point in curve]


def test_unanswered_rollouts_show(tmp_path: Path) -> None:
    """Elsewhere majority@k/no_answer is 0 however many go unanswered."""
    run = read(tmp_path / "r", [[0.0] * 4] * 5, rows=[{"answer": ""}] * 20)
    found = profile(run)["majority"]
    assert found["blank"] == 20 and found["tasks_without_answer"] == 5 and found["mean_entropy_bits"] is None
    assert values(found["at_k"]) == [0.0] * 4


def test_a_wavering_judge_splits_no_vote(tmp_path: Path) -> None:
    """Elsewhere (answer, score) pairs are counted: 2 + 2 times A lose to 3 times B."""
    answers = [{"answer": a} for a in "AAAABBB"]
    run = read(tmp_path / "r", [[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]], rows=answers)
    assert profile(run)["majority"]["at_k"][6]["value"] == 0.5
    task = next(per_task(run))["majority"]
    assert (task["modal_votes"], task["modal_score"], task["answers"]) == (4, 0.5, 2)


def test_answers_are_what_the_verifier_read_else_what_was_said_last(tmp_path: Path) -> None:
    rows = [said("  The  Answer\n"), said("the answer"), {"answer": "B"}, said("")]
    run = read(tmp_path / "r", [[1.0, 1.0, 0.0, 0.0]], rows=rows)
    found = profile(run)["majority"]
    assert found["answers"] == {"declared": 1, "text": 3} and found["blank"] == 1
    assert next(per_task(run))["majority"]["modal_votes"] == 2
    tools = read(tmp_path / "tools", [[1.0, 1.0, 0.0, 0.0]], rows=rows[:2], interaction="tools")
    assert profile(tools)["majority"] is None, "what an agent with tools says last is no answer"


def test_unequal_repeats_do_not_bend_the_curve_unsaid(tmp_path: Path) -> None:
    """Elsewhere pass@1, 2, 4 of tasks with 1, 4 and 1 rollouts read 66.7, 0, 0."""
    found = profile(read(tmp_path / "r", [[1.0, "model", None, None], [0.0] * 4, [1.0]]))
    assert values(found["pass_at_k"]) == pytest.approx([2 / 3, 0.0, 0.0, 0.0])
    assert [p["tasks"] for p in found["pass_at_k"]] == [3, 1, 1, 1]
    assert [p["all_tasks"] for p in found["pass_at_k"]] == [True, False, False, False]
    assert not found["counts"]["equal_repeats"]
    assert any("1 to 4 scored rollouts" in note for note in found["notes"])
    assert any("1 of 12 rollouts failed" in note for note in found["notes"])
    assert any("5 of 12 rollouts are missing" in note for note in found["notes"])


def test_graded_scores_are_order_statistics(tmp_path: Path) -> None:
    """Elsewhere pass@1 of the first rollout, 90 or 10 by the order of the same three scores."""
    one, other = ([[0.9, 0.5, 0.1]], [[0.1, 0.5, 0.9]])
    a, b = (profile(read(tmp_path / name, s)) for name, s in (("a", one), ("b", other)))
    assert values(a["best_of_k"]) == values(b["best_of_k"]) == pytest.approx([0.5, (0.9 + 0.9 + 0.5) / 3, 0.9])
    assert values(a["worst_of_k"]) == pytest.approx([0.5, (0.1 + 0.1 + 0.5) / 3, 0.1])


def test_nothing_exceeds_the_range(tmp_path: Path) -> None:
    """Elsewhere a sum of rewards becomes an accuracy of 300 %."""
    found = profile(read(tmp_path / "r", [[3.0, 3.0], [0.0, 3.0]], bounds=(0.0, 3.0)))
    assert found["score"]["pass"]["failed_excluded"]["value"] == 0.75
    reward = found["score"]["reward"]["failed_excluded"]
    assert reward["value"] == 2.25 and reward["new_tasks"]["high"] <= 3.0


def test_each_task_counts_the_same(tmp_path: Path) -> None:
    """Elsewhere three rollouts of one task outweigh one of another: 0.75."""
    found = profile(read(tmp_path / "r", [[1.0, 1.0, 1.0], [0.0, "model", "model"]]))
    assert found["score"]["reward"]["failed_excluded"]["value"] == 0.5
    worst = found["score"]["reward"]["failed_as_worst"]
    assert (worst["value"], worst["rollouts"]) == (0.5, 6)
    assert found["counts"]["failed"] == {"model": 2}
    assert found["fields"]["reward"]["pooled_mean"] == 0.75, "the pooled mean is there, by its own name"


def test_failures_have_both_denominators(tmp_path: Path) -> None:
    found = profile(read(tmp_path / "r", [[1.0, "timeout"], ["model", "model"], [0.0, 1.0]]))
    passes = found["score"]["pass"]
    assert passes["failed_excluded"]["value"] == 0.75 and passes["failed_excluded"]["tasks"] == 2
    assert passes["failed_as_worst"]["value"] == pytest.approx(1 / 3)
    assert passes["failed_as_worst"]["tasks"] == 3
    assert found["buckets"] == {"always": 1, "sometimes": 1, "never": 0, "missing": 1}
    assert found["fields"]["usage.cost"]["sum"] == 3.0 and found["fields"]["usage.cost"]["of_failed"] == 3


def test_the_spread_of_single_passes_is_not_the_error_of_the_score(tmp_path: Path) -> None:
    """Tasks that are all or nothing: repeats agree, and the score still hangs on which tasks there are."""
    found = profile(read(tmp_path / "r", [[1.0] * 4] * 50 + [[0.0] * 4] * 50))
    single, interval = found["by_repeat"]["pass"], found["score"]["pass"]["failed_excluded"]["new_tasks"]
    assert single["lowest"] == single["highest"] == 0.5
    assert interval["high"] - interval["low"] > 0.19


Scores = st.lists(
    st.lists(st.sampled_from([0.0, 1.0, 0.25, "model", None]), min_size=1, max_size=4), min_size=1, max_size=6
)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(Scores, st.randoms())
def test_permuting_rows_changes_no_bit(
    tmp_path_factory: pytest.TempPathFactory, scores: list[list[Score]], rng: random.Random
) -> None:
    path = write_run(tmp_path_factory.mktemp("runs") / "r", scores)
    before, tasks = profile_of(path, by="data.level"), list(per_task(read_run(path)))
    rewrite_rows(path, lambda lines: rng.sample(lines, len(lines)))
    assert profile_of(path, by="data.level") == before
    assert list(per_task(read_run(path))) == tasks


def alike(one: Any, other: Any) -> bool:
    return one is other is None or bool(one == pytest.approx(other, rel=1e-9))


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(Scores)
def test_the_table_of_the_run_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, scores: list[list[Score]]
) -> None:
    path = write_run(tmp_path_factory.mktemp("runs") / "r", scores)
    found, table = profile_of(path), summarize(path).metrics
    passes, rewards = found["score"]["pass"], found["score"]["reward"]
    # The table's running sums are two floats a task, the profile's are rounded once: a last bit may differ.
    assert alike(table["pass_at_1"], passes["failed_excluded"]["value"])
    assert alike(table["mean_reward"], rewards["failed_excluded"]["value"])
    for ours, score in (
        (table["ci95"], passes["failed_excluded"]["new_tasks"]),
        (table["ci95_these_tasks"], passes["failed_excluded"]["these_tasks"]),
        (table["mean_reward_ci95"], rewards["failed_excluded"]["new_tasks"]),
        (table["failed_as_zero"]["ci95"], passes["failed_as_worst"]["new_tasks"]),
    ):
        assert alike(ours, None if score is None else [score["low"], score["high"]])
    assert alike(table["failed_as_zero"]["pass_at_1"], passes["failed_as_worst"]["value"])
    same = [p for p in found["pass_at_k"] if p["all_tasks"]]
    assert list(table["pass_at_k"].values()) == pytest.approx(values(same))
    assert table["always_pass"] == found["buckets"]["always"]
    assert table["missing"] == found["counts"]["missing"] and table["failed"] == found["counts"]["failed"]


def test_groups_by_a_field_of_the_tasks(tmp_path: Path) -> None:
    run = read(tmp_path / "r", [[1.0, 1.0], [0.0, 0.0]] * 12)
    found = profile(run, by="data.level")["groups"]
    assert [g["value"] for g in found["groups"]] == ["0", "1"]
    assert [g["pass"]["value"] for g in found["groups"]] == [1.0, 0.0]
    narrow, wide = found["groups"][0]["pass"]["new_tasks"], found["groups"][0]["pass_simultaneous"]
    assert wide["low"] < narrow["low"]
    by_component = profile(run, by="components.half")["groups"]
    assert by_component["of_rollouts"] and [g["value"] for g in by_component["groups"]] == ["0", "0.5"]
    with pytest.raises(UsageError, match=r"--by data\.levle: no task has it.*data\.level"):
        profile(run, by="data.levle")
    with pytest.raises(UsageError, match=r"--by components\.x: no rollout has it"):
        profile(run, by="components.x")


def test_a_group_stands_out_after_all_were_looked_at(tmp_path: Path) -> None:
    scores = [[float((i * 7 + r) % 3 == 0) for r in range(4)] for i in range(60)]
    tasks = [{"id": f"t{i}", "data": {"kind": "odd one" if i < 20 else f"k{i % 4}"}} for i in range(60)]
    scores[:20] = [[1.0, 1.0, 1.0, float(i % 2)] for i in range(20)]
    groups = profile(read(tmp_path / "r", scores, tasks=tasks), by="data.kind")["groups"]["groups"]
    tests = {g["value"]: g["vs_rest"] for g in groups}
    assert tests["odd one"]["p_holm"] < 0.001
    assert all(t["p_holm"] >= t["p"] for t in tests.values())


def test_numbers_of_the_environment_itself(tmp_path: Path) -> None:
    own = "\n    @classmethod\n    def metrics(cls, rollouts):\n        return {'rows': len(list(rollouts))}\n"
    path = write_run(tmp_path / "r", [[1.0, "model"], [0.0, 1.0]])
    manifest = manifest_of(path)
    found = []
    for name, body in (("good", own), ("bad", own.replace("len(list(rollouts))", "1 / 0"))):
        source = tmp_path / f"{name}_counter.py"
        source.write_text(COUNTER + body)
        manifest["config"]["environment"] = str(source)
        (path / "manifest.json").write_text(json.dumps(manifest))
        found.append(profile_of(path)["environment_metrics"])
    assert found[0] == {"rows": 3.0} and "raised ZeroDivisionError" in found[1]["error"]


def test_a_row_of_another_run_is_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path / "r", [[1.0]])
    rewrite_rows(path, lambda lines: [*lines, lines[0].replace(b'"task_index":0', b'"task_index":7')])
    with pytest.raises(DamagedJournal, match="is not of this run"):
        profile_of(path)


def test_passes_are_kept_until_a_row_comes(tmp_path: Path) -> None:
    """They are asked for once a rollout: counting the run each time would take its square."""
    run = read(tmp_path / "r", [[1.0, None], [0.0, 1.0]])
    before = run.sheet.passes
    assert run.sheet.passes is before and before[0] == 1.0 and before[1] != before[1]
    assert run.sheet.add(row("r", "t0", 0, 1, 1.0)) and run.sheet.passes.tolist() == [1.0, 1.0, 0.0, 1.0]


def test_the_command(tmp_path: Path) -> None:
    path = write_run(tmp_path / "r", [[1.0, 0.0, "model"], [1.0, 1.0, 1.0]] * 10, rows=[{"answer": "A"}] * 60)
    done = gym("eval", "profile", str(path), "--by", "data.level", "--per-task", str(tmp_path / "tasks.jsonl"))
    assert done.returncode == 0, done.stderr
    for text in (
        "new tasks like these",
        "these tasks, tried for ever",
        "failed as worst",
        "pass@2",
        "vote entropy",
    ):
        assert text in done.stdout
    assert len((tmp_path / "tasks.jsonl").read_text().splitlines()) == 20
    as_json = json.loads(gym("eval", "profile", str(path), "--json").stdout)
    assert as_json["kind"] == "profile" and as_json == profile_of(path)
    assert gym("eval", "profile", str(tmp_path)).returncode == 2


def test_no_numpy(tmp_path: Path) -> None:
    path = write_run(tmp_path / "r", [[1.0, 0.0]] * 3)
    code = (
        "import sys; from pathlib import Path; from gym_mcp.analysis.profile import profile_of; "
        f"profile_of(Path({str(path)!r})); print('numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=process_env(), capture_output=True, text=True, timeout=50
    )
    assert done.stdout.strip() == "False", done.stderr
