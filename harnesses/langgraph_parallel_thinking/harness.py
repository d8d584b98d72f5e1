"""Parallel thinking as a LangGraph graph: k candidates for each turn, side by side, and one of them chosen."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Any, Literal

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Send
from pydantic import Field

from gym_mcp.harness import Harness
from gym_mcp.langgraph import GraphHarness
from gym_mcp.langgraph.parts import aside, called, quoted, tools_node
from gym_mcp.options import Options as BaseOptions

CHOOSER = """choose between candidates. You see a conversation and numbered candidates for its next message. \
Reply with the number of the best one and nothing else."""


argument = "k"


class Options(BaseOptions):
    """`k`: candidates a turn. `choose`: whether the model chooses where they differ, or the majority does."""

    k: int = Field(3, ge=1, le=64)
    choose: Literal["model", "majority"] = "model"


def _gathered(before: list[AIMessage], new: list[AIMessage] | None) -> list[AIMessage]:
    return [] if new is None else [*before, *new]


class State(MessagesState):
    """`candidates`: for the next message."""

    candidates: Annotated[list[AIMessage], _gathered]


def shown(candidate: AIMessage) -> str:
    """What a candidate says and calls; equal for candidates that differ in ids only."""
    return "\n".join([candidate.text.strip(), *(called(call) for call in candidate.tool_calls)]).strip()


def graph(model: Any, tools: Any, options: Options) -> Any:
    """k x think -> choose -> tools -> k x think ... -> END."""
    bound = model.bind_tools(tools)

    def spread(state: State) -> list[Send]:
        return [Send("think", {"messages": state["messages"]}) for _ in range(options.k)]

    async def think(state: State) -> dict[str, Any]:
        return {"candidates": [await bound.ainvoke(state["messages"])]}

    async def choose(state: State) -> dict[str, Any]:
        candidates = state["candidates"]
        texts = [shown(candidate) for candidate in candidates]
        chosen = texts.index(Counter(texts).most_common(1)[0][0])
        if len(set(texts)) > 1 and options.choose == "model":
            listed = "\n".join(f"Candidate {i}:\n{text}" for i, text in enumerate(texts, 1))
            said = await aside(model, CHOOSER, f"{quoted(state['messages'])}\n\n{listed}")
            number = re.search(r"\d+", said)
            if number and 1 <= int(number[0]) <= len(texts):
                chosen = int(number[0]) - 1
        return {"messages": [candidates[chosen]], "candidates": None}

    def after(state: State) -> str:
        last = state["messages"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else END

    builder = StateGraph(State)
    builder.add_node("think", think)
    builder.add_node("choose", choose)
    builder.add_node("tools", tools_node)
    builder.add_conditional_edges(START, spread, ["think"])
    builder.add_edge("think", "choose")
    builder.add_conditional_edges("choose", after, ["tools", END])
    builder.add_conditional_edges("tools", spread, ["think"])
    return builder.compile()


def create(options: Options) -> Harness:
    """The harness."""
    return GraphHarness(lambda model, tools: graph(model, tools, options), name="parallel_thinking")
