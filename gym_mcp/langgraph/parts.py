"""Parts that graphs share: the act loop, a question on the side, a conversation as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, SystemMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import tools_condition

from gym_mcp.langgraph.messages import text_of_message
from gym_mcp.langgraph.toolbox import run_calls
from gym_mcp.models.builtin import ASIDE

_LONGEST: Final = 20_000
"""Characters of one message in a conversation that is quoted."""


class Acting(MessagesState):
    """`guidance`: what the model is told before the conversation, besides the task."""

    guidance: str


async def tools_node(state: MessagesState) -> dict[str, Any]:
    """Run what the last message calls."""
    return {"messages": await run_calls(state["messages"][-1])}


def act_loop(model: Any, tools: Any) -> Any:
    """agent -> tools -> agent ... -> END: a compiled graph over `Acting`, also good as a node."""
    bound = model.bind_tools(tools)

    async def agent(state: Acting) -> dict[str, Any]:
        guidance = state.get("guidance")
        before = [SystemMessage(guidance)] if guidance else []
        return {"messages": [await bound.ainvoke([*before, *state["messages"]])]}

    builder = StateGraph(Acting)
    builder.add_node("agent", agent)
    builder.add_node("tools", tools_node)
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", tools_condition)
    builder.add_edge("tools", "agent")
    return builder.compile()


async def aside(model: Any, role: str, text: str) -> str:
    """Ask the model something beside the conversation: `role` says as what; its answer's text, stripped."""
    answer = await model.ainvoke([SystemMessage(f"{ASIDE} {role}"), HumanMessage(text)])
    return text_of_message(answer).strip()


def approves(verdict: str) -> bool:
    """Whether a reviewer that was told to say OK did; saying nothing is no objection."""
    return not verdict or verdict.upper().startswith("OK")


def quoted(messages: Iterable[BaseMessage]) -> str:
    """A conversation as text, for a model that looks at it from outside."""
    lines: list[str] = []
    for message in messages:
        text = text_of_message(message)[:_LONGEST]
        if text or not isinstance(message, AIMessage):
            lines.append(f"[{message.type}] {text}")
        lines += [f"[call] {called(call)}" for call in getattr(message, "tool_calls", ())]
    return "\n".join(lines)


def called(call: Any) -> str:
    """A tool call as text: `name {arguments}`."""
    return f"{call['name']} {orjson.dumps(call['args'], default=str).decode()}"


def removed(messages: Sequence[BaseMessage], ids: Iterable[str | None]) -> list[RemoveMessage]:
    """What takes messages out of the state: drafts and notes that are no part of what the agent says."""
    standing = {message.id for message in messages}
    return [RemoveMessage(id=one) for one in ids if one in standing and one is not None]
