"""The report's numbers beside scipy's, from runs with given scores; and its warnings."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

import pytest
from scipy import stats  # type: ignore[import-untyped]

from gym_mcp.agents.skills import Skills
from gym_mcp.cli.skills_text import page
from gym_mcp.skill_eval.arms import SkillArm
from gym_mcp.skill_eval.report import report
from gym_mcp.types import JSONObject
from tests.analysis.made import Score, write_run
from tests.skill_eval.kit import facts

TASKS = 24
Loads = Sequence[bool | None]


def arm(name: str, *skills: str) -> SkillArm:
    return SkillArm(name, name, Skills(f"{name}@1" if skills else "none", Path(name) if skills else None, skills))


def rows(loads: Loads, **more: Any) -> list[JSONObject]:
    return [{**facts(loaded), **more} for loaded in loads]


def made(
    folder: Path, arms: Sequence[SkillArm], scores: Sequence[Sequence[Sequence[Score]]], given: Sequence[Any]
) -> JSONObject:
    paths = [folder / a.name for a in arms]
    for path, a, s, r in zip(paths, arms, scores, given, strict=True):
        write_run(path, s, rows=r, identity={"skills": a.skills.ref})
    return report(arms, paths)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[JSONObject, dict[str, Any]]:
    rng = random.Random(7)
    scores = {name: [[rng.random()] for _ in range(TASKS)] for name in ("mine", "none", "other")}
    loads = {name: [rng.random() < 0.6 for _ in range(TASKS)] for name in ("mine", "other")}
    tokens = {name: [rng.randrange(100, 900) for _ in range(TASKS)] for name in scores}
    given = []
    for name in scores:
        usage = [{"usage": {"model_calls": 2, "input_tokens": n}} for n in tokens[name]]
        told = rows(loads[name]) if name in loads else [{"harness_facts": {"skills": {}}}] * TASKS
        given.append([{**t, **u} for t, u in zip(told, usage, strict=True)])
    arms = [arm("mine", "counting"), arm("none"), arm("other", "counting")]
    found = made(tmp_path_factory.mktemp("three"), arms, list(scores.values()), given)
    flat = {name: [x for (x,) in s] for name, s in scores.items()}
    return found, {"scores": flat, "loads": loads, "tokens": tokens}


def stepped_down(ps: Sequence[float]) -> list[float]:
    """Holm's p by its definition: the largest (m - rank) p of all that are as small."""
    ranked = sorted(ps)
    scaled = [min(1.0, (len(ps) - i) * p) for i, p in enumerate(ranked)]
    return [max(s for s, q in zip(scaled, ranked, strict=True) if q <= p) for p in ps]


def test_effects_are_paired_t_after_holm(three: tuple[JSONObject, dict[str, Any]]) -> None:
    found, given = three
    ps = []
    for c in found["contrasts"]:
        a, b = given["scores"][c["a"]], given["scores"][c["b"]]
        t = stats.ttest_rel(b, a)
        low, high = t.confidence_interval()
        assert c["difference"] == pytest.approx(sum(b) / TASKS - sum(a) / TASKS)
        assert (c["new_tasks"]["low"], c["new_tasks"]["high"]) == pytest.approx((low, high))
        assert c["p"] == pytest.approx(t.pvalue) and c["causes"] == ["skill set"]
        ps.append(t.pvalue)
    assert [c["p_holm"] for c in found["contrasts"]] == pytest.approx(stepped_down(ps))
    assert [(c["a"], c["b"]) for c in found["contrasts"]] == [
        ("none", "mine"),
        ("none", "other"),
        ("mine", "other"),
    ]


def test_where_loaded_is_a_paired_t_of_these_tasks(three: tuple[JSONObject, dict[str, Any]]) -> None:
    found, given = three
    c = found["contrasts"][0]
    for what, wanted in (("loaded", True), ("not_loaded", False)):
        kept = [i for i in range(TASKS) if given["loads"]["mine"][i] is wanted]
        a, b = ([given["scores"][name][i] for i in kept] for name in ("none", "mine"))
        part, (low, high) = c["as_treated"][what], stats.ttest_rel(b, a).confidence_interval()
        assert (part["tasks"], part["rollouts"]) == (len(kept), [len(kept)] * 2)
        assert part["difference"] == pytest.approx((sum(b) - sum(a)) / len(kept))
        assert (part["new_tasks"]["low"], part["new_tasks"]["high"]) == pytest.approx((low, high))
    assert found["contrasts"][2]["as_treated"] is None, "two arms with skills: loaded by which?"


def test_shares_have_wilsons_interval(three: tuple[JSONObject, dict[str, Any]]) -> None:
    found, given = three
    for at in (1, 2):
        use, loads = found["arms"][at]["activation"], given["loads"][found["arms"][at]["name"]]
        wilson = stats.binomtest(sum(loads), TASKS).proportion_ci(method="wilson")
        assert use["loaded"]["value"] == pytest.approx(sum(loads) / TASKS)
        assert (use["loaded"]["new_tasks"]["low"], use["loaded"]["new_tasks"]["high"]) == pytest.approx(
            (wilson.low, wilson.high)
        )
        assert use["offered"]["value"] == 1.0 and use["first_loaded"] == {"turn": 2, "seconds": 1.5}
        assert use["skills"]["counting"] == {"offered": TASKS, "loaded": sum(loads), "asked": 0, "unknown": 0}


def test_costs_are_paired(three: tuple[JSONObject, dict[str, Any]]) -> None:
    found, given = three
    a, b = given["tokens"]["none"], given["tokens"]["mine"]
    cost, (low, high) = (
        found["contrasts"][0]["costs"]["usage.input_tokens"],
        stats.ttest_rel(b, a).confidence_interval(),
    )
    assert (cost["a"], cost["b"]) == pytest.approx((sum(a) / TASKS, sum(b) / TASKS))
    assert (cost["new_tasks"]["low"], cost["new_tasks"]["high"]) == pytest.approx((low, high))
    calls = found["contrasts"][0]["costs"]["usage.model_calls"]
    assert (calls["difference"], calls["new_tasks"]) == (0.0, None), "no spread and no range: no interval"
    assert found["arms"][0]["costs"]["usage.input_tokens"]["sum"] == sum(a)
    assert "input tokens" in page(found) and "as treated, not randomised" in page(found)


def test_repeats_count_by_their_own_rollouts(tmp_path: Path) -> None:
    """Where loaded: only the rollouts that loaded it, against all of the control arm's of the task."""
    arms = [arm("none"), arm("mine", "counting")]
    scores = [[[0.0, 0.5], [0.25, 0.25]], [[1.0, 0.0], [0.75, 0.25]]]
    found = made(tmp_path, arms, scores, [[{}] * 4, rows([True, False, True, None])])
    part = found["contrasts"][0]["as_treated"]
    assert (part["loaded"]["tasks"], part["loaded"]["rollouts"]) == (2, [4, 2])
    assert part["loaded"]["difference"] == pytest.approx(((1.0 - 0.25) + (0.75 - 0.25)) / 2)
    assert (part["not_loaded"]["tasks"], part["not_loaded"]["difference"]) == (1, pytest.approx(-0.25))
    use = found["arms"][1]["activation"]
    assert (use["unknown"], use["rollouts"], use["loaded"]["value"]) == (1, 4, pytest.approx(0.75))
    assert use["loaded"]["rollouts"] == 3, "what is unknown is neither yes nor no"


def test_scores_without_a_range(tmp_path: Path) -> None:
    arms, paths = [arm("none"), arm("mine", "counting")], [tmp_path / "none", tmp_path / "mine"]
    scores: list[list[list[Score]]] = [[[1.0], [5.0]], [[3.0], [900.0]]]
    told: list[list[JSONObject]] = [[{}, {}], rows([True, False])]
    for path, given, extra in zip(paths, scores, told, strict=True):
        write_run(path, given, rows=extra, bounds=(-inf, inf))
    found = report(arms, paths)
    assert found["contrasts"][0]["difference"] == pytest.approx((2.0 + 895.0) / 2)
    assert found["contrasts"][0]["as_treated"]["loaded"]["difference"] == 2.0 and page(found)


def test_failed_rollouts_tell_too(tmp_path: Path) -> None:
    arms = [arm("none"), arm("mine", "counting")]
    scores: list[list[list[Score]]] = [[[1.0], [0.0]], [["timeout"], [1.0]]]
    found = made(tmp_path, arms, scores, [[{}, {}], rows([True, False])])
    mine = found["arms"][1]
    assert mine["failed"] == {"timeout": 1} and mine["activation"]["loaded"]["value"] == 0.5
    assert found["contrasts"][0]["as_treated"]["loaded"]["tasks"] == 0, "it has no score"
    assert "timeout 1" in page(found)


def codes(found: JSONObject) -> list[tuple[str, str | None]]:
    return [(w["code"], w["arm"]) for w in found["warnings"]]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([facts(False), facts(False)], [("never_loaded", "mine")]),
        ([facts(False, offered=False)] * 2, [("never_offered", "mine"), ("never_loaded", "mine")]),
        ([facts(None), facts(None)], [("unknown", "mine")]),
        ([{}, {}], [("unknown", "mine")]),
        ([{"harness_facts": {"skills": "many"}}] * 2, [("unknown", "mine")]),
        ([facts(True), facts(False)], []),
        ([facts(True, foreign_skills=facts(True)["harness_facts"]["skills"])] * 2, [("foreign_skill", "mine")]),
    ],
)
def test_warnings_before_an_effect_is_put_down_to_a_skill(
    tmp_path: Path, told: list[JSONObject], expected: list[tuple[str, str]]
) -> None:
    found = made(tmp_path, [arm("none"), arm("mine", "counting")], [[[1.0], [0.0]]] * 2, [[{}, {}], told])
    assert codes(found) == expected
    assert all(f"! {w['text']}" in page(found) for w in found["warnings"])


def test_one_of_several_skills_that_is_never_loaded(tmp_path: Path) -> None:
    both = facts(True)["harness_facts"]["skills"] | facts(False, name="adding")["harness_facts"]["skills"]
    told = [{"harness_facts": {"skills": both}}] * 2
    found = made(
        tmp_path, [arm("none"), arm("mine", "adding", "counting")], [[[1.0], [0.0]]] * 2, [[{}, {}], told]
    )
    assert codes(found) == [("never_loaded", "mine")] and "never loaded: adding." in found["warnings"][0]["text"]


def test_arms_without_control_unfinished_and_run_apart(tmp_path: Path) -> None:
    early, late = (
        [{**facts(True), "timing": {"started": t + i, "seconds": 1.0}} for i in range(2)] for t in (0, 900)
    )
    arms = [arm("v1", "counting"), arm("v2", "counting")]
    scores: list[list[list[Score]]] = [[[1.0], [0.0], [None]], [[1.0], [0.0], [None]]]
    found = made(tmp_path, arms, scores, [early, late])
    assert codes(found) == [
        ("incomplete", "v1"),
        ("incomplete", "v2"),
        ("no_control", None),
        ("not_interleaved", None),
    ]
    assert not found["complete"] and found["interleaving"] == {"median_gap": 900.0, "span": 901.0}
