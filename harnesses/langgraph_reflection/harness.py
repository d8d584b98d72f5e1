"""Reflection as a LangGraph graph: a critic reads each answer, and the model tries again on what it says."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, StateGraph
from pydantic import Field

from gym_mcp.harness import Harness
from gym_mcp.langgraph import GraphHarness
from gym_mcp.langgraph.parts import Acting, act_loop, approves, aside, quoted, removed
from gym_mcp.options import Options as BaseOptions

CRITIC = """review an answer. You see a task, what was done about it, and the answer. If the answer is right and \
complete, reply OK. Otherwise reply RETRY and say what is wrong and what to do about it."""
FEEDBACK = "A reviewer says of your last answer:\n{}\nImprove it: act again where that helps, then answer anew."


class Options(BaseOptions):
    """`rounds`: how often an answer may be sent back."""

    rounds: int = Field(2, ge=0, le=50)


class State(Acting):
    """`sent_back`: ids of the answers that were rejected, and of what was said of them."""

    sent_back: list[str]


def graph(model: Any, tools: Any, options: Options) -> Any:
    """act -> critic -> act ... -> finish -> END; `act` is a graph of its own."""

    async def critic(state: State) -> dict[str, Any]:
        before = state.get("sent_back") or []
        if len(before) >= 2 * options.rounds:
            return {}
        verdict = await aside(model, CRITIC, quoted(state["messages"]))
        if approves(verdict):
            return {}
        note = HumanMessage(FEEDBACK.format(verdict), id=uuid.uuid4().hex)
        return {"messages": [note], "sent_back": [*before, state["messages"][-1].id, note.id]}

    def after(state: State) -> Literal["act", "finish"]:
        return "act" if isinstance(state["messages"][-1], HumanMessage) else "finish"

    async def finish(state: State) -> dict[str, Any]:
        return {"messages": removed(state["messages"], state.get("sent_back") or []), "sent_back": []}

    builder = StateGraph(State)
    builder.add_node("act", act_loop(model, tools))
    builder.add_node("critic", critic)
    builder.add_node("finish", finish)
    builder.add_edge(START, "act")
    builder.add_edge("act", "critic")
    builder.add_conditional_edges("critic", after)
    builder.add_edge("finish", END)
    return builder.compile()


def create(options: Options) -> Harness:
    """The harness."""
    return GraphHarness(lambda model, tools: graph(model, tools, options), name="reflection")
