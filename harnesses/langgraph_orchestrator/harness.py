"""Planner and worker as a LangGraph graph: one directs and judges, the other, a sub-agent, has the tools."""

from __future__ import annotations

from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from pydantic import Field

from gym_mcp.harness import Harness
from gym_mcp.langgraph import GraphHarness
from gym_mcp.langgraph.parts import Acting, act_loop, approves, aside, quoted, removed
from gym_mcp.options import Options as BaseOptions

PLANNER = """direct a worker, who has these tools: {}. You see a task and what was done about it so far. Reply \
with the worker's next instruction, in a few sentences; or, when the worker's last message answers the task, \
with OK."""
GUIDANCE = """You are the worker of a team. Your planner instructs you:
{}
When you have done that, report. When the whole task is done, your report is the answer to it, in the form \
that the task asks for."""


class Options(BaseOptions):
    """`rounds`: how often the worker is sent out."""

    rounds: int = Field(4, ge=1, le=50)


class State(Acting):
    """`reports`: ids of the worker's reports so far."""

    reports: list[str]


def graph(model: Any, tools: Any, options: Options) -> Any:
    """planner -> worker -> planner ... -> finish -> END; `worker` is a graph of its own."""
    names = ", ".join(tool.name for tool in tools) or "none"

    async def planner(state: State) -> dict[str, Any]:
        reports = list(state.get("reports") or [])
        if reports and len(reports) >= options.rounds:
            return {"guidance": ""}
        said = await aside(model, PLANNER.format(names), quoted(state["messages"]))
        if approves(said):
            return {"guidance": "" if reports else GUIDANCE.format("Do the task.")}
        return {"guidance": GUIDANCE.format(said)}

    def after(state: State) -> Literal["worker", "finish"]:
        return "worker" if state["guidance"] else "finish"

    async def hear(state: State) -> dict[str, Any]:
        return {"reports": [*(state.get("reports") or []), state["messages"][-1].id]}

    async def finish(state: State) -> dict[str, Any]:
        return {"messages": removed(state["messages"], state["reports"][:-1]), "reports": []}

    builder = StateGraph(State)
    builder.add_node("planner", planner)
    builder.add_node("worker", act_loop(model, tools))
    builder.add_node("hear", hear)
    builder.add_node("finish", finish)
    builder.add_edge(START, "planner")
    builder.add_conditional_edges("planner", after)
    builder.add_edge("worker", "hear")
    builder.add_edge("hear", "planner")
    builder.add_edge("finish", END)
    return builder.compile()


def create(options: Options) -> Harness:
    """The harness."""
    return GraphHarness(lambda model, tools: graph(model, tools, options), name="orchestrator")
