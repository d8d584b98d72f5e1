"""Every fault of a model endpoint, from a real process: no run aborts, and nothing is scored that was not run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from tests.endpoint import FAULTS, Answer, Body, Endpoint, Reply, Script, call, message, status, tool_outputs
from tests.faults.process import Folder, command, endpoint, environment, gym, result
from tests.support import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
STEP = ("--calls", '[["step", {}]]')
PATIENCE = ("--max-retries", 1, "--model-timeout", 1, "-q")
TASKS = 6


@pytest.mark.parametrize("provider", ["openai", "openai-chat"])
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_an_endpoint_that_always_fails(tmp_path: Path, fault: str, provider: str) -> None:
    folder = Folder(tmp_path, TASKS)
    with endpoint(*STEP, "--fault", fault, "--every", 1) as url:
        metrics = result(gym(*folder.flags(f"{provider}/m", "--base-url", url, *PATIENCE)))
    assert (metrics["complete"], metrics["scored"], metrics["failed"]) == (True, 0, {"model": TASKS})
    assert (metrics["mean_reward"], metrics["pass_at_1"], metrics["ci95"]) == (None, None, None)
    assert metrics["failed_as_zero"]["mean_reward"] == 0.0
    for row in folder.check(TASKS):
        assert (row["outcome"], row["reward"], row["failure"]["kind"]) == ("failed", None, "model")
        assert row["failure"]["message"] and row["ledger"] == [] and row["response"]["output"] == []


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_an_endpoint_that_fails_now_and_then(tmp_path: Path, fault: str) -> None:
    folder = Folder(tmp_path, TASKS)
    with endpoint(*STEP, "--fault", fault, "--every", 3) as url:
        flags = folder.flags("openai/m", "--base-url", url, *PATIENCE, "--repeats", 2)
        metrics = result(gym(*flags))
    assert metrics["scored"] + metrics["failed"].get("model", 0) == 2 * TASKS and metrics["scored"] > 0
    assert set(metrics["failed"]) <= {"model"}
    for row in folder.check(TASKS, 2):
        if row["outcome"] == "failed":
            continue
        assert row["reward"] == 1.0 and [e["name"] for e in row["ledger"]] == ["step"]
        assert row["usage"]["model_calls"] == 2 and row["response"]["output"][-1]["role"] == "assistant"


def test_what_fails_once_is_retried_and_scored(tmp_path: Path) -> None:
    folder = Folder(tmp_path, TASKS)
    with endpoint(*STEP, "--fault", "500", "--first", 3) as url:
        metrics = result(gym(*folder.flags("openai/m", "--base-url", url, *PATIENCE)))
    assert (metrics["scored"], metrics["failed"], metrics["usage"]["retries"]) == (TASKS, {}, 3)


def test_a_tool_that_does_not_exist_is_scored_for_what_it_is(tmp_path: Path) -> None:
    folder = Folder(tmp_path, TASKS)
    with endpoint("--calls", '[["no_such_tool", {}]]') as url:
        metrics = result(gym(*folder.flags("openai/m", "--base-url", url, *PATIENCE)))
    assert (metrics["scored"], metrics["mean_reward"], metrics["tool_errors"]) == (TASKS, 0.0, TASKS)
    assert all(row["ledger"][0]["error"] == "unknown_tool" for row in folder.check(TASKS))


def test_nobody_listens(tmp_path: Path) -> None:
    folder = Folder(tmp_path, TASKS)
    with endpoint() as url:
        pass
    metrics = result(gym(*folder.flags("openai/m", "--base-url", url, *PATIENCE)))
    assert metrics["failed"] == {"model": TASKS}
    assert "cannot connect" in folder.rows()[0]["failure"]["message"]


def test_requests_are_counted_as_the_policy_says(tmp_path: Path) -> None:
    """Retries are the client's; a rollout that failed for the model is not started once more on top."""
    folder = Folder(tmp_path, 1)
    _, served = talk(folder, lambda body, n: FAULTS["500"], "--max-retries", 2)
    assert served == 3


KEY = "sk-test-4f9d1c7be20a5583"


@pytest.mark.parametrize("number", [401, 500, 200])
def test_a_key_that_the_endpoint_repeats_is_written_nowhere(tmp_path: Path, number: int) -> None:
    folder = Folder(tmp_path, 2)
    script = leaking(number)
    (code, out, err), served = talk(folder, script, "--max-retries", 0, key=KEY)
    assert served >= 2 and code == 0, err
    assert orjson.loads(out)["failed"] == {"model": 2}
    seen = {path.name: path.read_bytes() for path in folder.run.rglob("*") if path.is_file()}
    assert {"manifest.json", "rollouts.jsonl", "metrics.json", "tasks.jsonl"} <= seen.keys()
    for name, content in {**seen, "stdout": out, "stderr": err}.items():
        assert KEY.encode() not in content, f"the key is in {name}"
    assert b"***" in seen["rollouts.jsonl"], "the endpoint's message should be there, with the key masked"


def leaking(number: int) -> Script:
    """Says the key aloud in an error of status `number`."""

    def script(body: Body, n: int) -> Answer:
        return status(number, f"Incorrect API key provided: {KEY}", code="invalid_api_key")

    return script


def talk(folder: Folder, script: Script, *flags: object, key: str = "") -> tuple[tuple[int, bytes, bytes], int]:
    """Run against an endpoint in this process; ((exit code, stdout, stderr), requests served)."""

    async def main() -> tuple[tuple[int, bytes, bytes], int]:
        async with Endpoint(script, record=True) as served:
            keys = {"OPENAI_API_KEY": key} if key else {}
            process = await asyncio.create_subprocess_exec(
                *command(*folder.flags("openai/m", "--base-url", served.url, *flags)),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment(**keys),
            )
            out, err = await asyncio.wait_for(process.communicate(), 60)
            if key:
                assert served.headers[0]["Authorization"] == f"Bearer {key}", "the test proves nothing"
            return (process.returncode or 0, out, err), served.requests

    return run(main)


def test_answers_that_hold_the_key_of_nobody(tmp_path: Path) -> None:
    """The control of the test above: the same run, where the endpoint behaves."""

    def script(body: Body, n: int) -> Answer:
        return Reply([message("done")] if tool_outputs(body) else [call("step", {})])

    folder = Folder(tmp_path, 2)
    (code, out, _), served = talk(folder, script, key=KEY)
    assert code == 0 and served == 4 and orjson.loads(out)["mean_reward"] == 1.0
    assert all(KEY.encode() not in p.read_bytes() for p in folder.run.iterdir())
