"""A LangGraph graph as a harness: a model that acts, with a limit on its steps."""

from __future__ import annotations

from typing import Any, Literal

from langgraph.graph import END, START, MessagesState, StateGraph

from gym_mcp.harness import Harness
from gym_mcp.langgraph import GraphHarness, run_calls
from gym_mcp.options import Options as BaseOptions


class Options(BaseOptions):
    """What `--set harness_options.NAME=VALUE` sets. `steps`: how often the model may act."""

    steps: int = 20


class State(MessagesState):
    """`messages` is what the harness looks at; the rest is the graph's own."""

    steps: int


def graph(model: Any, tools: Any, options: Options) -> Any:
    """agent -> tools -> agent ... -> END. Called once for each list of tools."""
    bound = model.bind_tools(tools)

    async def agent(state: State) -> dict[str, Any]:
        answer = await bound.ainvoke(state["messages"])
        return {"messages": [answer], "steps": state.get("steps", 0) + 1}

    async def act(state: State) -> dict[str, Any]:
        return {"messages": await run_calls(state["messages"][-1])}

    def route(state: State) -> Literal["tools", "__end__"]:
        calls = getattr(state["messages"][-1], "tool_calls", ())
        return "tools" if calls and state["steps"] < options.steps else END  # type: ignore[return-value]

    builder = StateGraph(State)
    builder.add_node("agent", agent)
    builder.add_node("tools", act)
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", route)
    builder.add_edge("tools", "agent")
    return builder.compile()


def create(options: Options) -> Harness:
    """Called once a run."""
    return GraphHarness(lambda model, tools: graph(model, tools, options), name="my_harness")
