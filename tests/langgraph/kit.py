"""Play graphs through the coordinator against a scripted endpoint, and hold their spans to the rollout's calls."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gym_mcp import hub
from gym_mcp.client import EnvironmentClient
from gym_mcp.coordinator.rollout import Arm, run_rollout
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.harness import Limits
from gym_mcp.models.base import Model
from gym_mcp.models.spec import make_model
from gym_mcp.types import JSONObject, Task, user_message
from tests.endpoint import Endpoint, Script
from tests.environments.ladder import Ladder
from tests.support import run

PRELUDE = """
import asyncio, operator
from typing import Annotated, Any, TypedDict
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, Send, interrupt
"""
WIRING = """
builder = StateGraph(MessagesState)
builder.add_node("agent", agent)
builder.add_node("tools", ToolNode(tools))
builder.add_edge(START, "agent")
builder.add_conditional_edges("agent", tools_condition)
builder.add_edge("tools", "agent")
"""
REACT = f"""
from gym_mcp.langgraph import model, tools
bound = model.bind_tools(tools)
def agent(state: MessagesState):
    return {{"messages": [bound.invoke(state["messages"])]}}
{WIRING}
graph = builder.compile()
"""


def write(folder: Path, source: str, name: str = "my_graph.py") -> str:
    """A graph file; its path."""
    path = folder / name
    path.write_text(PRELUDE + textwrap.dedent(source), encoding="utf-8")
    return str(path)


async def played(
    harness: str,
    model: Model,
    *,
    cls: type[Environment[Any]] = Ladder,
    data: JSONObject | None = None,
    options: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    task: Task[Any] | None = None,
    client: EnvironmentClient | None = None,
) -> JSONObject:
    """The row of one rollout, its spans checked. `client` is entered and left here."""
    name, made, _ = hub.load_harness(harness, options)
    async with client or DirectClient(cls) as client:
        arm = Arm("run", 0, cls.name, client, model, name, made, limits or Limits(turns=30), 1)
        chosen = task or Task("t", [user_message("Count.")], {"target": 3, **(data or {})})
        row = await run_rollout(arm, chosen, 0, 0)
    if hasattr(made, "aclose"):
        await made.aclose()
    await model.aclose()
    if row["outcome"] == "scored":
        check_spans(row)
    return row


def rollout(harness: str, model: str, **options: Any) -> JSONObject:
    """The row of one rollout with a model that needs no endpoint."""
    return run(lambda: played(harness, make_model(model), **options))


def scripted(
    harness: str, script: Script, *, spec: str = "openai/m", **options: Any
) -> tuple[JSONObject, list[Any]]:
    """(row, request bodies) of a rollout against the scripted endpoint."""

    async def main() -> tuple[JSONObject, list[Any]]:
        async with Endpoint(script, record=True) as endpoint:
            model = make_model(spec, base_url=endpoint.url, price=(1.0, 1.0), max_retries=0)
            return await played(harness, model, **options), endpoint.bodies

    return run(main)


def check_spans(row: JSONObject) -> None:
    """Every model call and every ledger entry is in exactly one leaf; children lie inside their parents."""
    spans = row["spans"]
    known = {span["id"]: span for span in spans}
    assert len(known) == len(spans)
    holders = {span["parent"] for span in spans}
    leaves = [span for span in spans if span["id"] not in holders]
    calls = [seq for span in leaves for seq in span.get("model_calls", ())]
    assert sorted(calls) == list(range(row["usage"]["model_calls"]))
    tools = [seq for span in leaves for seq in span.get("tool_calls", ())]
    assert sorted(tools) == [entry["seq"] for entry in row["ledger"]]
    for span in spans:
        if span["id"] in holders:
            assert not span.get("model_calls") and not span.get("tool_calls")
        assert span["start"] <= span["end"]
        parent = known.get(span["parent"])
        assert (span["parent"] is None) == (parent is None)
        if parent is not None:
            assert parent["start"] <= span["start"] and span["end"] <= parent["end"]
    for entry in row["ledger"]:
        assert known[entry["caller"]]["name"] == entry["name"]


def nodes(row: JSONObject) -> list[str]:
    return [span["name"] for span in row["spans"] if span["kind"] == "node"]


def node_of(row: JSONObject, field: str, seq: int) -> str:
    """The name of the node that made a call: `model_calls` or `tool_calls`."""
    known = {span["id"]: span for span in row["spans"]}
    leaf = next(span for span in row["spans"] if seq in span.get(field, ()))
    name: str = known[leaf["parent"]]["name"]
    return name
