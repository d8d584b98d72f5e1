"""Comparisons of runs: who wins, when nobody can tell, and what must be refused."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.analysis.changes import causes, changes
from gym_mcp.analysis.compare import compare
from gym_mcp.analysis.read import read_run
from gym_mcp.errors import UsageError
from tests.analysis.made import Score, read, rewrite_rows, write_run
from tests.cli.support import gym

LEFT: Sequence[Sequence[Score]] = [[1.0, 0.0, 0.0, 0.0]] * 15 + [[1.0, 1.0, 0.0, 0.0]] * 15
RIGHT: Sequence[Sequence[Score]] = [[1.0, 1.0, 1.0, 0.0]] * 14 + [[0.0] * 4] + [[1.0] * 4] * 15


def contrast(tmp_path: Path, a: Sequence[Sequence[Score]], b: Sequence[Sequence[Score]], **more: Any) -> Any:
    runs = [read(tmp_path / "a", a, model="m/a"), read(tmp_path / "b", b, model="m/b")]
    return compare(runs, **more)["contrasts"][0]


def test_a_winner(tmp_path: Path) -> None:
    found = contrast(tmp_path, LEFT, RIGHT)
    assert found["verdict"]["code"] == "b_better" and found["cause"] == "model"
    assert found["verdict"]["text"].startswith("m/b is better than m/a by 47.5 points (95% CI ")
    assert found["difference"] == pytest.approx(0.475) and found["tasks"] == 30
    assert found["new_tasks"]["low"] > 0.3 and found["these_tasks"]["low"] > 0.3
    assert found["flips"][-1]["task_id"] == "t14" and found["flips"][-1]["delta"] == -0.25
    assert [f["delta"] for f in found["flips"][:29]] == [0.5] * 29
    assert contrast(tmp_path / "2", RIGHT, LEFT)["verdict"]["code"] == "a_better"


LEAD = re.compile(
    r"^(m/[ab]) is better than (m/[ab]) by ([\d.]+)(?: points)? "
    r"\((lower is better; )?95% CI \+([\d.]+) to \+([\d.]+), p < 0\.001\)\.$"
)


@pytest.mark.parametrize("metric", ["pass", "reward"])
@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize(("a", "b", "more"), [(LEFT, RIGHT, "b"), (RIGHT, LEFT, "a")])
def test_a_winner_leads_by_an_amount_inside_its_interval(
    tmp_path: Path, a: Any, b: Any, more: str, higher: bool, metric: str
) -> None:
    """Whoever wins, and whichever way is better: sentence and interval agree, and the numbers keep their sign."""
    runs = [
        read(tmp_path / name, scores, model=f"m/{name}", higher_is_better=higher)
        for name, scores in (("a", a), ("b", b))
    ]
    found = compare(runs, metric=metric)["contrasts"][0]
    best = more if higher else "ba"[more == "b"]
    said = LEAD.match(found["verdict"]["text"])
    assert said, found["verdict"]["text"]
    assert found["verdict"]["code"] == f"{best}_better" and said[1] == f"m/{best}" != said[2]
    lead, low, high = (float(said[i]) for i in (3, 5, 6))
    assert 0 < low < lead < high
    assert bool(said[4]) is (not higher and metric == "reward")
    interval, sign = found["new_tasks"], 1 if found["difference"] > 0 else -1
    assert interval["low"] < found["difference"] < interval["high"]
    scale = 100 if metric == "pass" else 1
    ends = sorted((sign * interval["low"], sign * interval["high"]))
    assert (low, high) == pytest.approx([scale * end for end in ends], abs=0.05 if metric == "pass" else 5e-4)


def test_a_margin_speaks_of_b_less_a(tmp_path: Path) -> None:
    a = [[1.0] * 8] * 200 + [[0.0] * 8] * 200
    b = [*a[:-2], [1.0] + [0.0] * 7, [1.0] + [0.0] * 7]
    one, other = (contrast(tmp_path / name, *arms)["verdict"] for name, arms in (("1", (a, b)), ("2", (b, a))))
    assert one["text"] == (
        "No difference larger than 2.0 points: m/b less m/a is +0.1 points (95% CI -0.0 to +0.1)."
    )
    assert other["text"] == (
        "No difference larger than 2.0 points: m/b less m/a is -0.1 points (95% CI -0.1 to +0.0)."
    )


def test_a_margin_as_large_as_the_range_is_refused(tmp_path: Path) -> None:
    """Two points are 0.02: with `--margin 2` no two runs would ever differ."""
    with pytest.raises(UsageError, match=r"--margin 2: as large as the range of `pass`, 0 to 1: .*0\.02 are"):
        contrast(tmp_path, LEFT, RIGHT, margin=2.0)
    assert contrast(tmp_path / "2", LEFT, RIGHT, metric="usage.cost", margin=2.0)["difference"] == 0.0


def test_a_run_is_not_compared_with_itself(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a", LEFT)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(UsageError, match="a run directory is named twice"):
        compare([read_run(path), read_run(tmp_path / "link")])


def test_runs_that_came_out_the_same_say_so(tmp_path: Path) -> None:
    """Eight tasks that agree are no proof; the number of tasks that would be one is said, and is right."""
    found = contrast(tmp_path, [[1.0]] * 8, [[1.0]] * 8)["verdict"]
    assert found["code"] == "cannot_tell" and found["text"] == (
        "Cannot tell: m/b and m/a came out the same on each of 8 tasks (95% CI -27.7 to +27.7, p 1.000). "
        "A difference larger than 27.7 points is ruled out, a smaller one is not. "
        "115 tasks that come out the same would rule out 2.0 points."
    )
    codes = [contrast(tmp_path / str(n), [[1.0]] * n, [[1.0]] * n)["verdict"]["code"] for n in (114, 115)]
    assert codes == ["cannot_tell", "equivalent"]
    assert "same on the one task (no interval" in contrast(tmp_path / "1", [[1.0]], [[1.0]])["verdict"]["text"]


def test_cannot_tell_says_what_would_settle_it(tmp_path: Path) -> None:
    rng = random.Random(1)
    a, b = ([[float(rng.random() < p) for _ in range(4)] for _ in range(30)] for p in (0.5, 0.56))
    found = contrast(tmp_path, a, b)
    text = found["verdict"]["text"]
    assert found["verdict"]["code"] == "cannot_tell" and text.startswith("Cannot tell: m/b less m/a is ")
    assert "is ruled out, a smaller one is not" in text and "would be found 4 times in 5" in text
    assert f"about {found['tasks_needed']:,} tasks" in text
    assert found["detectable"] > abs(found["difference"])


def test_no_difference_is_something_else_than_cannot_tell(tmp_path: Path) -> None:
    """Four hundred tasks that hardly turn: any difference over two points is ruled out."""
    a = [[1.0] * 8] * 200 + [[0.0] * 8] * 200
    b = [*a[:-2], [1.0] + [0.0] * 7, [1.0] + [0.0] * 7]
    found = contrast(tmp_path, a, b)
    assert found["verdict"]["code"] == "equivalent"
    assert found["verdict"]["text"].startswith("No difference larger than 2.0 points")
    assert contrast(tmp_path / "2", a, b, margin=0.0005)["verdict"]["code"] == "cannot_tell"


def test_single_binary_rollouts_get_mcnemar(tmp_path: Path) -> None:
    a, b = [[1.0]] * 12 + [[0.0]] * 30 + [[1.0]] * 20, [[0.0]] * 12 + [[1.0]] * 30 + [[1.0]] * 20
    found = contrast(tmp_path, a, b)
    assert found["tests"]["mcnemar"]["p_exact"] == pytest.approx(0.007915897334896727)
    assert (found["tests"]["mcnemar"]["only_b"], found["tests"]["mcnemar"]["only_a"]) == (30, 12)
    assert found["tests"]["permutation"]["p"] == pytest.approx(0.007915897334896727)
    assert found["these_tasks"] is None and found["repeats_needed"] is None
    assert contrast(tmp_path / "2", [[1.0, 1.0]], [[0.0, 1.0]])["tests"]["mcnemar"] is None


def test_many_comparisons_are_adjusted(tmp_path: Path) -> None:
    rng = random.Random(2)
    arms = [[[float(rng.random() < p) for _ in range(2)] for _ in range(40)] for p in (0.4, 0.45, 0.5, 0.7)]
    runs = [read(tmp_path / f"r{i}", arm, model=f"m/{i}") for i, arm in enumerate(arms)]
    found = compare(runs)["contrasts"]
    assert [(c["a"], c["b"]) for c in found] == [("m/0", "m/1"), ("m/0", "m/2"), ("m/0", "m/3")]
    assert all(c["p"] <= c["p_bh"] <= c["p_holm"] for c in found)
    assert max(c["p_holm"] / c["p"] for c in found) == pytest.approx(3.0)
    assert all("after Holm)." in c["verdict"]["text"] for c in found)
    assert len(compare(runs, all_pairs=True)["contrasts"]) == 6


def test_more_than_one_change_names_no_cause(tmp_path: Path) -> None:
    runs = [
        read(tmp_path / "a", LEFT, model="m/a"),
        read(
            tmp_path / "b", RIGHT, model="m/b", identity={"harness": "other:h2", "sampling": {"temperature": 0.5}}
        ),
    ]
    found = compare(runs)["contrasts"][0]
    assert found["causes"] == ["harness", "model", "sampling"] and found["cause"] is None
    assert "The cause is not identified: harness, model, sampling changed together." in found["notes"]
    same = compare([read(tmp_path / "c", LEFT), read(tmp_path / "d", LEFT, seed=3)])["contrasts"][0]
    assert same["causes"] == [] and any("is luck" in note for note in same["notes"])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({"model": {"spec": "a"}}, {"model": {"spec": "b"}}, ["model"]),
        ({"harness": "x:1"}, {"harness": "x:2"}, ["harness"]),
        ({"harness_identity": {"skills": "1"}}, {"harness_identity": {"skills": "2"}}, ["skill set"]),
        ({"harness_identity": {"prompt": "1"}}, {"harness_identity": {"prompt": "2"}}, ["prompt"]),
        ({"environment": "1"}, {"environment": "2"}, ["environment version"]),
        (
            {"environment": "1", "environment_name": "a"},
            {"environment": "2", "environment_name": "b"},
            ["environment"],
        ),
        ({"limits": {"turns": 1}}, {"limits": {"turns": 2}}, ["limits"]),
        ({"limits": {"seconds": 1}}, {"limits": {"seconds": 2}}, []),
        ({"seed": 1, "repeats": 2}, {"seed": 2, "repeats": 4}, []),
        ({"verifier": "1"}, {"verifier": "2"}, ["verifier"]),
    ],
)
def test_causes(a: dict[str, Any], b: dict[str, Any], expected: list[str]) -> None:
    assert causes(changes(a, b)) == expected


def test_different_tasks_are_refused_unless_told_to_intersect(tmp_path: Path) -> None:
    ids = [{"id": f"t{i}", "data": {"x": i}, "prompt": [{"role": "user", "content": f"p{i}"}]} for i in range(6)]
    run = read(tmp_path / "a", [[1.0]] * 4, tasks=ids[:4])
    fewer = read(tmp_path / "b", [[0.0]] * 4, tasks=ids[2:])
    changed = read(tmp_path / "c", [[0.0]] * 4, tasks=[*ids[:3], {**ids[3], "data": {"x": 99}}])
    with pytest.raises(UsageError, match="2 tasks only in the first, 2 only in the second, 0 with the same id"):
        compare([run, fewer])
    with pytest.raises(UsageError, match=r"1 with the same id and other content.*--intersect compares the 3"):
        compare([run, changed])
    found = compare([run, fewer], intersect=True)
    assert found["tasks"] == 2 and list(found["left_out"].values()) == [2, 2]
    assert {f["task_id"] for f in found["contrasts"][0]["flips"]} == {"t2", "t3"}
    assert compare([run, changed], intersect=True)["tasks"] == 3
    with pytest.raises(UsageError, match="no task in common"):
        compare([run, read(tmp_path / "d", [[1.0]], tasks=[{"id": "z"}])], intersect=True)


def test_prompts_can_be_the_contrast(tmp_path: Path) -> None:
    tasks = [
        [{"id": f"t{i}", "data": {"x": i}, "prompt": [{"role": "user", "content": f"{p} {i}"}]} for i in range(30)]
        for p in "ab"
    ]
    runs = [read(tmp_path / name, s, tasks=t) for name, s, t in zip("ab", (LEFT, RIGHT), tasks, strict=True)]
    with pytest.raises(UsageError, match="--across-prompts those that differ in nothing but the prompt"):
        compare(runs)
    found = compare(runs, across_prompts=True)["contrasts"][0]
    assert found["cause"] == "prompt" and found["verdict"]["code"] == "b_better"


def test_failures_that_fall_on_one_arm_are_flagged(tmp_path: Path) -> None:
    """Left out, the failures make b as good as a; counted, b is worse."""
    a = [[1.0, 1.0, 0.0, 0.0]] * 30
    b: list[list[Score]] = [[1.0, "timeout", "timeout", 0.0]] * 30
    found = contrast(tmp_path, a, b)
    assert found["difference"] == 0.0 and found["failed_as_worst"]["difference"] == -0.25
    assert found["missingness"]["informative"] and found["missingness"]["failure_rate"] == [0.0, 0.5]
    assert any("may tilt the comparison" in note for note in found["notes"])
    assert any("quote both" in note for note in found["notes"])
    alike = contrast(tmp_path / "2", [["model", 1.0, 0.0, 1.0]] * 30, [[1.0, "model", 0.0, 1.0]] * 30)
    assert not alike["missingness"]["informative"]


def test_unequal_and_missing_rollouts(tmp_path: Path) -> None:
    a: list[list[Score]] = [[1.0, 0.0, None, None], ["model"], [1.0] * 4]
    b: list[list[Score]] = [[0.0], [1.0], [1.0, 1.0]]
    found = contrast(tmp_path, a, b)
    assert found["tasks"] == 2 and found["tasks_without_pair"] == 1 and found["difference"] == -0.25
    assert any("1 tasks have no score in one of the runs" in note for note in found["notes"])
    nothing = contrast(tmp_path / "2", [["model"]], [["model"]])
    assert nothing["difference"] is None and nothing["verdict"]["code"] == "cannot_tell"


def test_other_metrics(tmp_path: Path) -> None:
    found = contrast(tmp_path, LEFT, RIGHT, metric="components.half")
    assert found["difference"] == pytest.approx(0.475 / 2) and found["verdict"]["code"] == "b_better"
    cost = contrast(tmp_path / "2", LEFT, RIGHT, metric="usage.cost")
    assert cost["difference"] == 0.0 and cost["verdict"]["code"] == "cannot_tell"
    assert cost["verdict"]["text"].endswith("came out the same on each of 30 tasks (no interval, p 1.000).")
    with pytest.raises(UsageError, match=r"--metric component.half: .*has no such number.*components\.half"):
        contrast(tmp_path / "3", LEFT, RIGHT, metric="component.half")
    with pytest.raises(UsageError, match="known: pass, reward, tool_calls, "):
        contrast(tmp_path / "4", LEFT, RIGHT, metric="zzz")


def test_every_task_a_call_less_needs_no_interval(tmp_path: Path) -> None:
    """The same difference on each of 30 tasks of a metric without a range: no spread, and no doubt."""
    usage = [[{"usage": {"model_calls": calls}}] * 120 for calls in (3, 2)]
    runs = [read(tmp_path / f"{i}", LEFT, model=f"m/{i}", rows=rows) for i, rows in enumerate(usage)]
    found = compare(runs, metric="usage.model_calls")["contrasts"][0]
    assert found["new_tasks"] is None and found["verdict"]["code"] == "b_better"
    assert found["verdict"]["text"] == "m/1 is better than m/0 by 1 (lower is better; no interval, p < 0.001)."


def test_permuting_rows_changes_no_bit(tmp_path: Path) -> None:
    rng = random.Random(3)
    paths = []
    for name in "ab":
        kinds: list[Score] = [0.0, 0.3, 1.0, "model"]
        scores = [[rng.choice(kinds) for _ in range(5)] for _ in range(40)]
        paths.append(write_run(tmp_path / name, scores, model=name))
    before = compare([read_run(path) for path in paths], metric="reward")
    for path in paths:
        rewrite_rows(path, lambda lines: rng.sample(lines, len(lines)))
    assert compare([read_run(path) for path in paths], metric="reward") == before


def test_the_command(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a", LEFT, model="m/a"), write_run(tmp_path / "b", RIGHT, model="m/b")
    done = gym("eval", "compare", str(a), str(b), "--flips", "3")
    assert done.returncode == 0, done.stderr
    for text in (
        "m/b is better than m/a",
        "changed           model",
        "30 tasks turned: 29 up, 1 down",
        "and 27 more",
    ):
        assert text in done.stdout
    assert json.loads(gym("eval", "compare", str(a), str(b), "--json").stdout) == compare(
        [read_run(a), read_run(b)]
    )
    assert re.search(r"p +0\.0000  paired t\n +permutation +0\.0000  exact, mid-p 0\.0000\n", done.stdout)
    alone = gym("eval", "compare", str(a))
    assert alone.returncode == 2 and "give two run directories or more" in alone.stderr
