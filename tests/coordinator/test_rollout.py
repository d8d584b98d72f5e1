"""Whatever goes wrong in a rollout ends in one row that names its owner; nothing gets past it."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any

import orjson
import pytest

from gym_mcp import hub
from gym_mcp.bounded import Runner
from gym_mcp.coordinator import rollout
from gym_mcp.coordinator.journal import Journal
from gym_mcp.harness import Limits
from gym_mcp.models.base import Model
from gym_mcp.models.spec import make_model
from gym_mcp.seeds import episode_seed
from tests.coordinator.kit import POISONED, make_harness, one
from tests.endpoint import FAULTS, Endpoint, Hang, Script, calling, faulty, fixed
from tests.support import run

STEP: Script = calling([("step", {})], "done")


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "_BACKOFF", 0.001)


def endpoint_model(endpoint: Endpoint, **settings: Any) -> Model:
    defaults: dict[str, Any] = {"timeout": 5.0, "max_retries": 0}
    return make_model("openai/m", base_url=endpoint.url, **{**defaults, **settings})


def failed(row: dict[str, Any], kind: str, message: str = "") -> None:
    assert (row["outcome"], row["reward"], row["components"]) == ("failed", None, {})
    assert row["failure"]["kind"] == kind, row["failure"]
    assert message in row["failure"]["message"]


def test_a_scored_row_has_every_field() -> None:
    row = run(one)
    timing, ledger = row.pop("timing"), row.pop("ledger")
    assert timing["seconds"] >= timing["tool_seconds"] >= 0 and timing["started"] > 1.7e9
    assert [(e["name"], e["result"], e["error"]) for e in ledger] == [("step", "1", None)]
    output = row.pop("response")
    assert [i["type"] for i in output["output"]] == ["function_call", "function_call_output", "message"]
    assert output["stop"] == "completed"
    assert row.pop("usage") == {
        "model_calls": 2,
        "input_tokens": 0,
        "output_tokens": 0,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "retries": 0,
        "cost": 0.0,
    }
    assert row == {
        "schema": 1,
        "rollout_id": "run/t/0",
        "environment": "poisoned",
        "task_id": "t",
        "task_index": 0,
        "repeat": 0,
        "seed": episode_seed(0, "t", 0),
        "harness": "simple",
        "model": "builtin/oracle",
        "outcome": "scored",
        "failure": None,
        "attempts": 1,
        "reward": 1.0,
        "components": {},
        "notes": "",
    }


@pytest.mark.parametrize("how", ["raise", "exit", "cancel", "wait", "sleep", "spin"])
@pytest.mark.parametrize("where", ["open", "tool", "verify"])
def test_the_environment_and_its_verifier_own_what_they_break(where: str, how: str) -> None:
    row = run(one, {"where": where, "how": how})
    failed(row, "verifier" if where == "verify" else "environment", {"tool": "step"}.get(where, where))
    assert [e["name"] for e in row["ledger"]] == ([] if where == "open" else ["step"])
    if where == "tool":
        assert row["ledger"][0]["error"] == ("timeout" if how in ("wait", "sleep", "spin") else "exception")
        assert "poison" not in orjson.dumps(row["response"]).decode(), "the agent saw the exception"


@pytest.mark.parametrize("how", ["raise", "exit", pytest.param("sleep", marks=pytest.mark.slow), "spin"])
@pytest.mark.parametrize("where", ["open", "tool", "verify"])
def test_an_environment_in_worker_threads_fails_alike(where: str, how: str) -> None:
    cls = hub.load_environment(str(POISONED.with_name("poisoned_sync.py")))
    Runner._slow.add(cls)
    row = run(lambda: one({"where": where, "how": how}, cls=cls))
    failed(row, "verifier" if where == "verify" else "environment", {"tool": "step"}.get(where, where))
    assert run(lambda: one({}, cls=cls))["reward"] == 1.0


@pytest.mark.parametrize("how", ["nan", "infinity", "out of range", "none", "text"])
def test_what_is_no_score_is_the_verifiers_failure(how: str) -> None:
    failed(run(one, {"where": "verify", "how": how}), "verifier", "poisoned.verify returned")


def test_a_judge_that_is_away() -> None:
    failed(run(one, {"where": "verify", "how": "judge"}), "judge", "the judge is away")


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - {"hang", "429"}))
def test_a_model_that_fails(fault: str) -> None:
    async def main() -> None:
        async with Endpoint(faulty(STEP, FAULTS[fault], every=2)) as endpoint:
            row = await one(model=endpoint_model(endpoint))
            failed(row, "model")
            assert row["attempts"] == 1 and endpoint.requests == 2
            # What came before stays: the model's own words and the server's record.
            assert [i["type"] for i in row["response"]["output"]] == ["function_call"]
            assert [e["name"] for e in row["ledger"]] == ["step"]
            assert row["usage"]["model_calls"] == 1 and row["usage"]["input_tokens"] == 10

    run(main)


def test_a_model_that_hangs() -> None:
    async def main() -> None:
        async with Endpoint(lambda body, n: Hang()) as endpoint:
            failed(await one(model=endpoint_model(endpoint, timeout=0.1)), "model", "no answer within 0.1 s")

    run(main)


@pytest.mark.parametrize("where", ["open", "tool"])
def test_a_failure_that_may_pass_is_tried_again_from_a_fresh_episode(where: str) -> None:
    async def main() -> None:
        waits: list[float] = []
        async with Endpoint(STEP) as endpoint:
            data = {"where": where, "how": "once", "token": secrets.token_hex(8)}
            row = await one(data, model=endpoint_model(endpoint), attempts=3, waits=waits)
            assert endpoint.requests == (2 if where == "open" else 3)
        assert (row["outcome"], row["reward"], row["attempts"]) == ("scored", 1.0, 2)
        (earlier,) = row["earlier_failures"]
        assert earlier["kind"] == "environment" and "not yet" in earlier["message"]
        assert len(row["ledger"]) == 1, "the call of the failed attempt belongs to its own episode"
        assert len(waits) == 1 and 0 < waits[0] < 1
        assert row["usage"]["model_calls"] == 2

    run(main)


def test_attempts_end() -> None:
    row = run(lambda: one({"where": "open", "how": "raise"}, attempts=3))
    failed(row, "environment", "poison")
    assert row["attempts"] == 3
    assert [e["kind"] for e in row["earlier_failures"]] == ["environment"] * 2


@pytest.mark.parametrize(
    ("data", "kind"),
    [({"where": "verify", "how": "raise"}, "verifier"), ({"where": "tool", "how": "wait"}, "environment")],
)
def test_what_would_fail_again_is_not_tried_again(data: dict[str, str], kind: str) -> None:
    row = run(lambda: one(data, attempts=3))
    failed(row, kind)
    assert row["attempts"] == 1 and "earlier_failures" not in row


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise ValueError('broken\\nlines')", "harness crooked raised ValueError: broken lines"),
        ("raise TimeoutError('mine')", "harness crooked raised TimeoutError: mine"),
        ("sys.exit(3)", "harness crooked raised SystemExit: 3"),
        ("raise asyncio.CancelledError", "harness crooked cancelled itself"),
        ("return None", "harness crooked returned None, which is no Transcript"),
        ("return Transcript(['text'])", "which is no Transcript of items"),
        ("a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\nraise a", "ValueError: a"),
    ],
)
@pytest.mark.parametrize("seconds", [20.0, None])
def test_a_harness_owns_its_crash(tmp_path: Path, body: str, told: str, seconds: float | None) -> None:
    failed(run(lambda: one(harness=make_harness(tmp_path, body), limits=Limits(seconds=seconds))), "harness", told)


@pytest.mark.parametrize(
    "body",
    [
        "try:\n    {act}\nexcept Exception as e:\n    raise RuntimeError('wrapped') from e",
        "try:\n    {act}\nexcept Exception:\n    raise RuntimeError('in its place')",
        "async with asyncio.TaskGroup() as group:\n    group.create_task(act())",
        "{act}",
    ],
)
@pytest.mark.parametrize("act", ["raise ModelError('away')", "raise LimitReached('max_cost')"])
def test_what_a_harness_wraps_keeps_its_owner(tmp_path: Path, body: str, act: str) -> None:
    text = f"async def act():\n    {act}\n" + body.replace("{act}", "await act()")
    row = run(lambda: one(harness=make_harness(tmp_path, text)))
    if "ModelError" in act:
        failed(row, "model", "away")
    else:
        assert (row["outcome"], row["response"]["stop"]) == ("scored", "max_cost")


@pytest.mark.parametrize(("facts", "kept"), [("lambda: {'skills': {}}", {"skills": {}}), ("lambda: 1 / 0", None)])
def test_a_failed_rollout_keeps_what_its_harness_knows_of_it(
    tmp_path: Path, facts: str, kept: dict[str, Any] | None
) -> None:
    text = f"model.facts = {facts}\nraise ModelError('down')"
    row = run(lambda: one(harness=make_harness(tmp_path, text)))
    assert row["failure"]["kind"] == "model" and row.get("harness_facts") == kept


@pytest.mark.parametrize(
    "body",
    [
        "await asyncio.sleep(3600)",
        "try:\n    await asyncio.sleep(3600)\nexcept asyncio.CancelledError:\n    raise ValueError from None",
    ],
)
def test_a_harness_that_hangs_is_a_timeout_and_keeps_what_it_did(tmp_path: Path, body: str) -> None:
    text = "await model.respond(Request(session.prompt))\nawait session.call('step', {})\n" + body
    row = run(lambda: one(harness=make_harness(tmp_path, text), limits=Limits(seconds=0.2), attempts=3))
    failed(row, "timeout", "not finished after 0.2 s")
    assert row["attempts"] == 1
    assert [i["type"] for i in row["response"]["output"]] == ["function_call"]
    assert [e["name"] for e in row["ledger"]] == ["step"]


def test_a_model_that_hangs_past_the_rollouts_time_is_a_timeout() -> None:
    async def main() -> None:
        async with Endpoint(lambda body, n: Hang()) as endpoint:
            row = await one(model=endpoint_model(endpoint), limits=Limits(seconds=0.2))
            failed(row, "timeout", "not finished after 0.2 s")

    run(main)


@pytest.mark.parametrize(
    ("limits", "stop"),
    [
        (Limits(turns=1, seconds=20), "max_turns"),
        (Limits(tokens=15, seconds=20), "max_tokens"),
        (Limits(cost=1e-9, seconds=20), "max_cost"),
    ],
)
def test_a_spent_budget_ends_in_a_score(limits: Limits, stop: str) -> None:
    async def main() -> None:
        async with Endpoint(STEP) as endpoint:
            row = await one(model=endpoint_model(endpoint, price=(1.0, 1.0)), limits=limits)
            assert (row["outcome"], row["reward"], row["response"]["stop"]) == ("scored", 1.0, stop)
            assert endpoint.requests == row["usage"]["model_calls"] == 1

    run(main)


def test_a_cancelled_rollout_leaves_no_row_and_no_episode(tmp_path: Path) -> None:
    async def main() -> None:
        async with Endpoint(lambda body, n: Hang()) as endpoint:
            going = asyncio.create_task(one(model=endpoint_model(endpoint)))
            await endpoint.arrived(1)
            going.cancel()
            with pytest.raises(asyncio.CancelledError):
                await going

    run(main)


def test_odd_values_of_a_harness_can_be_journalled(tmp_path: Path) -> None:
    item = "{'type': 'message', 'role': 'assistant', 'content': 'a\\ud800', 'n': 2**70, 3: {4}}"
    harness = make_harness(tmp_path, f"return Transcript([{item}])")

    async def main() -> dict[str, Any]:
        from gym_mcp.coordinator.rollout import Arm, run_rollout
        from gym_mcp.direct import DirectClient
        from gym_mcp.types import Task
        from tests.coordinator.kit import poisoned

        name, loaded, _ = hub.load_harness(str(harness))
        async with DirectClient(poisoned()) as client:
            arm = Arm("run", 0, "p", client, make_model("builtin/null"), name, loaded, Limits(), 1)
            return await run_rollout(arm, Task("t"), 0, 0)

    row = run(main)
    journal = Journal(tmp_path / "rollouts.jsonl")
    journal.append(row)
    journal.close()
    back = orjson.loads((tmp_path / "rollouts.jsonl").read_bytes())
    assert back["response"]["output"][0]["content"] == "a?"


def test_two_rollouts_of_one_task_and_seed_are_the_same() -> None:
    first, second = run(one), run(one)
    for row in (first, second):
        del row["timing"]
        for entry in row["ledger"]:
            del entry["start"], entry["end"]
    assert first == second


def test_fixed_answers_score_nothing() -> None:
    async def main() -> None:
        async with Endpoint(fixed("done")) as endpoint:
            row = await one(model=endpoint_model(endpoint))
            assert (row["outcome"], row["reward"]) == ("scored", 0.0)

    run(main)
