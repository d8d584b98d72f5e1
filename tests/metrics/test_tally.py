"""A run's numbers against ones computed from its rows directly."""

from __future__ import annotations

import itertools
import math
import statistics
import tracemalloc
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.metrics.estimators import score_interval
from gym_mcp.metrics.tally import Tally
from gym_mcp.types import JSONObject

RANGES = {"unit": ((0.0, 1.0), True), "golf": ((0.0, 18.0), False), "signed": ((-1.0, 1.0), True)}


def scored(task: int, reward: float, **more: Any) -> JSONObject:
    return {"task_index": task, "outcome": "scored", "reward": reward, **more}


def failed(task: int, kind: str = "model", **more: Any) -> JSONObject:
    failure = {"kind": kind, "message": f"no {kind}"}
    return {"task_index": task, "outcome": "failed", "reward": None, "failure": failure, **more}


def metrics(rows: Iterable[JSONObject], tasks: int = 3, repeats: int = 4, kind: str = "unit") -> JSONObject:
    bounds, higher = RANGES[kind]
    tally = Tally(tasks, repeats, bounds, higher_is_better=higher)
    for row in rows:
        tally.add(row)
    return tally.metrics()


def test_a_run_by_hand() -> None:
    usage = {"input_tokens": 10, "output_tokens": 5, "cost": 0.25}
    ledger = [{"error": None}, {"error": "arguments"}]
    found = metrics(
        [
            *(scored(0, r, usage=usage, ledger=ledger) for r in (1.0, 1.0, 0.5, 1.0)),
            *(scored(1, 0.0, usage=None) for _ in range(2)),
            failed(1, "timeout", ledger=ledger),
            failed(2, "model"),
            failed(2, "model"),
        ]
    )
    assert (found["expected"], found["scored"], found["missing"]) == (12, 6, 3)
    assert found["failed"] == {"model": 2, "timeout": 1} and (found["tasks"], found["repeats"]) == (3, 4)
    assert found["mean_reward"] == pytest.approx((3.5 / 4 + 0.0) / 2)
    assert found["pass_at_1"] == pytest.approx((3 / 4 + 0.0) / 2)
    assert found["ci95"] == list(score_interval([0.75, 0.0], repeats=2 / (1 / 4 + 1 / 2)) or ())
    assert found["mean_reward_ci95"] == list(score_interval([3.5 / 4, 0.0]) or ())
    assert found["failed_as_zero"]["mean_reward"] == pytest.approx((3.5 / 4 + 0.0 + 0.0) / 3)
    assert found["failed_as_zero"]["pass_at_1"] == pytest.approx((3 / 4 + 0.0 + 0.0) / 3)
    assert found["failed_as_zero"]["ci95"] == list(score_interval([0.75, 0.0, 0.0], repeats=36 / 13) or ())
    assert list(found["pass_at_k"]) == ["1", "2"], "task 1 has two scores"
    assert found["pass_at_k"]["2"] == pytest.approx((1.0 + 0.0) / 2)
    assert found["pass_hat_k"]["2"] == pytest.approx((0.5 + 0.0) / 2)
    assert [found[f"{b}_pass"] for b in ("always", "sometimes", "never")] == [0, 1, 1]
    assert found["unscored_tasks"] == 1
    assert found["usage"] == {"input_tokens": 40, "output_tokens": 20, "cost": 1.0}
    assert (found["tool_calls"], found["tool_errors"]) == (10, 5)


def test_before_the_first_score_there_is_no_number() -> None:
    for rows in ([], [failed(0)]):
        found = metrics(rows)
        assert found["mean_reward"] is found["pass_at_1"] is found["ci95"] is found["mean_reward_ci95"] is None
        assert found["pass_at_k"] == found["pass_hat_k"] == {}
    assert metrics([])["failed_as_zero"] == {"mean_reward": None, "pass_at_1": None, "ci95": None}
    assert metrics([failed(0)])["failed_as_zero"]["mean_reward"] == 0.0


def test_one_unknown_price_makes_the_cost_unknown() -> None:
    for costs, total in (([0.5, 0.25], 0.75), ([0.5, None, 0.25], None), ([], 0.0)):
        assert metrics(scored(0, 1.0, usage={"cost": c}) for c in costs)["usage"] == {"cost": total}


@pytest.mark.parametrize(
    ("kind", "full", "partial", "worst"),
    [("unit", 1.0, 0.9, 0.0), ("golf", 0.0, 1.0, 18.0), ("signed", 1.0, 0.0, -1.0)],
)
def test_a_full_score_is_the_best_end_and_a_failure_the_worst(
    kind: str, full: float, partial: float, worst: float
) -> None:
    found = metrics([scored(0, full), scored(0, partial), failed(0)], tasks=1, repeats=3, kind=kind)
    assert found["pass_at_1"] == 0.5 and found["sometimes_pass"] == 1
    assert found["mean_reward"] == pytest.approx((full + partial) / 2)
    assert found["failed_as_zero"]["mean_reward"] == pytest.approx((full + partial + worst) / 3)
    assert found["failed_as_zero"]["pass_at_1"] == pytest.approx(1 / 3)


def test_a_sum_of_weights_that_rounds_is_a_full_score() -> None:
    rounded = 0.7 + 0.2 + 0.1  # `sum` of floats is exact from Python 3.12 on
    assert rounded != 1.0
    assert metrics([scored(0, rounded)])["pass_at_1"] == 1.0
    assert metrics([scored(0, 0.999)])["pass_at_1"] == 0.0


@pytest.mark.parametrize("higher", [True, False])
def test_without_an_end_to_the_range_every_number_is_still_json(higher: bool) -> None:
    tally = Tally(2, 2, (-math.inf, math.inf), higher_is_better=higher)
    for row in (scored(0, 3.0), scored(1, 5.0), failed(0)):
        tally.add(row)
    found = tally.metrics()
    assert found["mean_reward"] == 4.0 and found["pass_at_1"] == 0.0
    assert found["failed_as_zero"]["mean_reward"] == pytest.approx((3.0 / 2 + 5.0) / 2)
    assert orjson.loads(orjson.dumps(found)) == found, "an infinity would come back as null"


Rewards = st.sampled_from([0.0, 1.0]) | st.floats(0.0, 1.0)
Rows = st.lists(
    st.builds(scored, st.integers(0, 2), Rewards, usage=st.fixed_dictionaries({"cost": st.floats(0, 1)}))
    | st.builds(failed, st.integers(0, 2), st.sampled_from(["model", "timeout"])),
    max_size=30,
)


@settings(deadline=None)
@given(Rows, st.data())
def test_no_number_hangs_on_the_order_of_rows(rows: list[JSONObject], data: st.DataObject) -> None:
    assert metrics(data.draw(st.permutations(rows)), repeats=10) == metrics(rows, repeats=10)


def by_hand(rows: list[JSONObject], worst: float | None) -> tuple[list[float], list[list[bool]]]:
    """Task means and passes, in the plainest way; failures left out, or counted as `worst`."""
    rewards: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        if row["outcome"] == "scored":
            rewards[row["task_index"]].append(row["reward"])
        elif worst is not None:
            rewards[row["task_index"]].append(worst)
    tasks = [rewards[i] for i in sorted(rewards)]
    return [statistics.fmean(t) for t in tasks], [[r >= 1 - 1e-9 for r in t] for t in tasks]


@settings(deadline=None)
@given(Rows)
def test_every_number_can_be_had_from_the_rows(rows: list[JSONObject]) -> None:
    found = metrics(rows, repeats=10)
    means, passes = by_hand(rows, None)
    assert found["scored"] == sum(map(len, passes))
    assert found["scored"] + sum(found["failed"].values()) + found["missing"] == found["expected"] == 30
    assert found["unscored_tasks"] + len(passes) == 3
    if means:
        assert found["mean_reward"] == pytest.approx(statistics.fmean(means), abs=1e-12)
        rates = [sum(p) / len(p) for p in passes]
        assert found["pass_at_1"] == pytest.approx(statistics.fmean(rates), abs=1e-12)
        assert found["pass_at_k"]["1"] == pytest.approx(found["pass_at_1"]) == found["pass_hat_k"]["1"]
        assert found["always_pass"] == sum(map(all, passes)) and found["never_pass"] == sum(
            not any(p) for p in passes
        )
        _check_subsets(found, passes)
    zeros, _ = by_hand(rows, 0.0)
    if zeros:
        assert found["failed_as_zero"]["mean_reward"] == pytest.approx(statistics.fmean(zeros), abs=1e-12)


def _check_subsets(found: JSONObject, passes: list[list[bool]]) -> None:
    most = min(map(len, passes))
    assert list(found["pass_at_k"]) == [str(k) for k in range(1, most + 1)]
    for k in range(1, min(most, 3) + 1):
        groups = [list(itertools.combinations(p, k)) for p in passes]
        at = statistics.fmean(sum(map(any, g)) / len(g) for g in groups)
        hat = statistics.fmean(sum(map(all, g)) / len(g) for g in groups)
        assert found["pass_at_k"][str(k)] == pytest.approx(at, abs=1e-12)
        assert found["pass_hat_k"][str(k)] == pytest.approx(hat, abs=1e-12)
    at_k, hat_k = list(found["pass_at_k"].values()), list(found["pass_hat_k"].values())
    assert at_k == sorted(at_k) and hat_k == sorted(hat_k, reverse=True)
    assert all(0.0 <= x <= 1.0 for x in at_k + hat_k)


def test_the_tally_stays_small() -> None:
    tally = Tally(100_000, 1_000)
    assert tally.expected == 10**8 and tally.done == 0
    for _ in range(1_000):
        tally.add(scored(99_999, 1.0))
    assert tally.scored == tally.done == 1_000 and tally.headline()[0] == 1.0


def test_the_numbers_of_many_tasks_take_some_words_of_memory_each() -> None:
    tasks = 20_000
    tally = Tally(tasks, 1)
    for task in range(tasks):
        tally.add(scored(task, task % 7 / 6))
    tracemalloc.start()
    try:
        tally.metrics()
        assert tracemalloc.get_traced_memory()[1] < 100 * tasks
    finally:
        tracemalloc.stop()
