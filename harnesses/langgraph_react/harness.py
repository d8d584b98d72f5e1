"""ReAct as a LangGraph graph: the model acts until it has said its last word."""

from __future__ import annotations

from typing import Any

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import tools_condition

from gym_mcp.harness import Harness
from gym_mcp.langgraph import GraphHarness, run_calls
from gym_mcp.options import Options as BaseOptions


class Options(BaseOptions):
    """`system`: a system message before the task."""

    system: str = ""


def graph(model: Any, tools: Any, options: Options) -> Any:
    """agent -> tools -> agent ... -> END."""
    bound = model.bind_tools(tools)
    before = [("system", options.system)] if options.system else []

    async def agent(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke([*before, *state["messages"]])]}

    async def act(state: MessagesState) -> dict[str, Any]:
        return {"messages": await run_calls(state["messages"][-1])}

    builder = StateGraph(MessagesState)
    builder.add_node("agent", agent)
    builder.add_node("tools", act)
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", tools_condition)
    builder.add_edge("tools", "agent")
    return builder.compile()


def create(options: Options) -> Harness:
    """The harness."""
    return GraphHarness(lambda model, tools: graph(model, tools, options), name="react")
