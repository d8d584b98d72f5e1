"""Rollouts of an agent behind the gateway, from `eval run`'s settings to their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gym_mcp.calls import MessageGraph
from gym_mcp.coordinator.run import start
from gym_mcp.types import text_of
from tests.coordinator.kit import POISONED, config, make_harness, read_lines, rows, write_rows
from tests.endpoint import FAULTS, Answer, Body, Endpoint, Reply, Script, call, message, tool_outputs
from tests.support import run

COUNTER = POISONED.with_name("counter.py")
AGENT = """
import orjson, aiohttp
from gym_mcp.gateway import Gateway

messages = [{"role": "user", "content": session.prompt[0]["content"]}]
tools = [{"type": "function", "function": {"name": f"mcp__env__{t.name}", "description": t.description,
          "parameters": t.input_schema}} for t in await session.list_tools()]
async with Gateway() as gateway, aiohttp.ClientSession() as client:
    access = gateway.open(model)
    headers = {"Authorization": f"Bearer {access.key}"}
    while True:
        body = {"model": "any", "messages": messages, "tools": tools}
        async with client.post(access.base_url + "/v1/chat/completions", json=body, headers=headers) as answer:
            status, value = answer.status, orjson.loads(await answer.read())
        if status != 200:
            break
        messages.append(value["choices"][0]["message"])
        calls = messages[-1].get("tool_calls") or []
        for c in calls:
            result = await session.call(c["function"]["name"].removeprefix("mcp__env__"),
                                        orjson.loads(c["function"]["arguments"]))
            messages.append({"role": "tool", "tool_call_id": c["id"], "content": result.text})
        if not calls:
            break
    transcript = access.transcript()
    if access.error:
        raise access.error
    return transcript
"""


def counting(body: Body, n: int) -> Answer:
    """Counts to the number in the prompt with the tool that is offered."""
    tools: list[Any] = body["tools"]
    name = next(t["function"]["name"] for t in tools if t["function"]["name"].endswith("add"))
    target, done = int(body["messages"][0]["content"].split()[-1].rstrip(".")), len(tool_outputs(body))
    return Reply([message("done")] if done >= target else [call(name, {"amount": 1}, f"call_{done}")])


def play(folder: Path, script: Script, **settings: Any) -> dict[str, Any]:
    """The row of one rollout that counts to three."""

    async def check() -> None:
        async with Endpoint(script) as endpoint:
            task_file = write_rows(folder / "tasks.jsonl", rows(4, t3={"target": 3})[3:])
            harness = make_harness(folder, AGENT, "agent")
            more = {"base_url": endpoint.url, "input": task_file, "harness": str(harness), "max_retries": 0}
            await start(config(COUNTER, "openai-chat/m", **more, **settings), folder / "run")

    run(check)
    (row,) = read_lines(folder / "run" / "rollouts.jsonl")
    return row


def test_a_row_holds_transcript_usage_ledger_calls_and_messages(tmp_path: Path) -> None:
    row = play(tmp_path, counting)
    assert (row["outcome"], row["reward"]) == ("scored", 1.0), row["failure"]
    kinds = [item["type"] for item in row["response"]["output"]]
    assert kinds == ["function_call", "function_call_output"] * 3 + ["message"]
    assert [entry["name"] for entry in row["ledger"]] == ["add"] * 3
    assert row["usage"]["model_calls"] == len(row["calls"]) == 4
    assert sum(c["usage"]["input_tokens"] for c in row["calls"]) == row["usage"]["input_tokens"] == 40
    assert [c["dialect"] for c in row["calls"]] == ["chat"] * 4
    graph = MessageGraph({n["id"]: (n["parent"], n["item"]) for n in row["messages"]["nodes"]})
    assert len(graph.nodes) == 1 + 3 * 2 + 1  # each message once
    whole = graph.path(row["calls"][-1]["output"])
    assert [text_of(whole[0]), text_of(whole[-1])] == ["Count to 3.", "done"]
    assert whole[1:] == row["response"]["output"]


def test_a_spent_budget_is_scored(tmp_path: Path) -> None:
    row = play(tmp_path, counting, limits={"turns": 2})
    assert (row["outcome"], row["response"]["stop"], len(row["calls"])) == ("scored", "max_turns", 2)


@pytest.mark.parametrize("fault", ["500", "400", "wrong-shape"])
def test_a_models_failure_is_the_models(fault: str, tmp_path: Path) -> None:
    row = play(tmp_path, lambda body, n: counting(body, n) if n < 2 else FAULTS[fault])
    assert row["outcome"] == "failed"
    assert row["failure"]["kind"] == "model"
    assert [c["finish"] for c in row["calls"]] == ["completed", "completed", "error"]
    assert row["calls"][-1]["error"] == row["failure"]["message"]


def test_other_harnesses_record_when_asked(tmp_path: Path) -> None:
    async def check() -> None:
        task_file = write_rows(tmp_path / "tasks.jsonl", rows(4)[3:])
        await start(config(POISONED, input=task_file, record_calls=True), tmp_path / "run")

    run(check)
    (row,) = read_lines(tmp_path / "run" / "rollouts.jsonl")
    assert len(row["calls"]) == row["usage"]["model_calls"]
    assert "dialect" not in row["calls"][0]
