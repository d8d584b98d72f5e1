"""What a rollout is said to do is what it does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from gym_mcp.models.limiter import AdaptiveLimiter
from gym_mcp.observe.stages import HARNESS, OPEN, RETRY, STAGES, VERIFY, Activity, Stages, Step, Watcher, merged
from gym_mcp.types import JSONObject
from tests.coordinator.kit import poisoned
from tests.observe.kit import running, until
from tests.support import run


def test_the_stage_follows_from_the_calls_under_way() -> None:
    activity = Stages().begin("t", 0)
    seen = [activity.stage]
    activity.begin(0)
    activity.enter(HARNESS)
    seen.append(activity.stage)
    activity.called()
    seen.append(activity.stage)
    activity.hold()
    seen.append(activity.stage)
    activity.called()  # a second call that does not wait
    seen.append(activity.stage)
    activity.answered()
    activity.go_on()
    activity.answered()
    activity.tools += 1
    seen.append(activity.stage)
    activity.tools -= 1
    activity.enter(VERIFY)
    seen.append(activity.stage)
    activity.enter(RETRY)
    seen.append(activity.stage)
    assert seen == [OPEN, "harness", "model", "limit", "model", "tool", "verify", "retry"]
    assert activity.turn == 2 and activity.stages.model_calls == 2
    activity.end()
    assert not activity.stages.active


def test_a_report_names_the_oldest_and_does_not_grow() -> None:
    stages = Stages()
    for i in range(50):
        stages.begin(f"t{i}" * 200, i)
    report = stages.report()
    assert report["stages"]["open"] == 50 and set(report["stages"]) == set(STAGES)
    assert [s["repeat"] for s in report["slowest"]] == list(range(10))
    assert all(len(s["task_id"]) <= 200 for s in report["slowest"])
    both = merged([report, report])
    assert both["stages"]["open"] == 100 and len(both["slowest"]) == 10


def test_a_call_that_waits_for_the_limit_is_seen_and_one_that_gives_up_leaves_nothing() -> None:
    async def scenario() -> list[tuple[str, int]]:
        limiter, activity = AdaptiveLimiter(1), Stages().begin("t", 0)
        activity.enter(HARNESS)
        await limiter.acquire()

        async def call() -> None:
            activity.called()
            try:
                await limiter.acquire()
            finally:
                activity.answered()

        waiting = asyncio.create_task(call())
        await asyncio.sleep(0)
        seen = [(activity.stage, limiter.waiting)]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        seen.append((activity.stage, limiter.waiting))
        assert activity.held == 0
        return seen

    assert run(scenario) == [("limit", 1), ("harness", 0)]


def test_a_lower_bound_holds_at_once_and_a_higher_one_lets_the_limit_grow() -> None:
    async def scenario() -> tuple[int, int]:
        limiter = AdaptiveLimiter(8)
        limiter.bound(2)
        low = limiter.limit
        limiter.bound(100)
        for _ in range(50):
            await limiter.acquire()
            limiter.succeeded()
            limiter.release()
        return low, limiter.limit

    low, high = run(scenario)
    assert low == 2 and high > 40


class Notes(Watcher):
    """What a watcher hears, in order."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def attempt_started(self, activity: Activity) -> None:
        self.heard.append(f"attempt {activity.attempt}")

    def attempt_ended(self, activity: Activity, attempt: Any) -> None:
        self.heard.append("given up" if attempt is None else f"ended {attempt.error and attempt.error.kind}")

    def step_ended(self, step: Step) -> None:
        self.heard.append(f"{step.kind} {type(step.error).__name__ if step.error else 'ok'}")


async def _watched(data: JSONObject, attempts: int = 1) -> list[str]:
    from gym_mcp import hub
    from gym_mcp.coordinator.rollout import Arm, run_rollout
    from gym_mcp.direct import DirectClient
    from gym_mcp.harness import Limits
    from gym_mcp.models.spec import make_model
    from gym_mcp.types import Task

    name, loaded, _ = hub.load_harness("simple")
    notes = Notes()
    async with DirectClient(poisoned()) as client:
        model = make_model("builtin/oracle")
        arm = Arm("run", 0, "poisoned", client, model, name, loaded, Limits(seconds=20), attempts)
        arm.stages.watchers = (notes,)
        await run_rollout(arm, Task("t", [{"role": "user", "content": "Go."}], data), 0, 0)
    assert not arm.stages.active
    return notes.heard


def test_a_watcher_hears_each_step_once() -> None:
    heard = run(_watched, {})
    assert heard[:2] == ["attempt 0", "open ok"] and heard[-2:] == ["verify ok", "ended None"]
    assert set(heard[2:-2]) == {"model ok", "tool ok"}


def test_a_watcher_hears_of_failures_where_they_happen() -> None:
    assert run(_watched, {"where": "open", "how": "raise"})[:3] == [
        "attempt 0",
        "open EnvironmentFailure",
        "ended environment",
    ]
    heard = run(_watched, {"where": "verify", "how": "raise"})
    assert heard[-2:] == ["verify VerifierError", "ended verifier"]


def test_a_run_shows_who_waits_for_what(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, concurrency=4) as r:
            await until(lambda: r.bench.endpoint.in_flight == 4)
            r.coordinator.set_model_limit(1)
            status = await r.status()
            assert status["stages"]["model"] == 4 == status["in_flight"]
            assert {s["turn"] for s in status["slowest"]} == {1}
            assert (await r.ended()).complete
            assert len(r.rows()) == 6 and not r.coordinator.arm.stages.active

    run(scenario)
