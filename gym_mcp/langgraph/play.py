"""One rollout of a compiled graph: hand it the conversation, answer interrupts, go on while the user replies."""

from __future__ import annotations

import asyncio
import uuid
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels.last_value import LastValue
from langgraph.errors import GraphRecursionError
from langgraph.pregel import Pregel
from langgraph.types import Command
from langsmith.run_helpers import tracing_context

from gym_mcp.errors import HarnessError, LimitReached, RolloutError, causes
from gym_mcp.langgraph.chat import ChatModel
from gym_mcp.langgraph.messages import text_of_message, to_messages
from gym_mcp.langgraph.spans import EdgesOf
from gym_mcp.langgraph.stage import EpisodeOver, Stage, StagedSession
from gym_mcp.langgraph.toolbox import EnvironmentTool, run_calls
from gym_mcp.types import JSONObject, Transcript

MAX_STEPS: Final = 1_000
"""Supersteps of one invocation, unless the graph has its own `recursion_limit`."""
_THREADS: Final = 256
"""Threads for the sync nodes of all rollouts: each waits in one while its model answers."""
_roomy: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()


@dataclass(slots=True)
class Left:
    """Where an invocation left the graph."""

    values: JSONObject = field(default_factory=dict)
    interrupts: Sequence[Any] = ()
    paused: bool = False
    """Stopped at a breakpoint (`interrupt_before`), with nothing to say."""

    @property
    def messages(self) -> list[BaseMessage]:
        found: list[BaseMessage] = self.values["messages"]
        return found


class Play:
    """A graph in one rollout."""

    def __init__(
        self,
        graph: Pregel[Any, Any, Any, Any],
        stage: Stage,
        name: str,
        state: Mapping[str, Any],
        resume: Any,
    ) -> None:
        self._graph = graph
        self._stage = stage
        self._name = name
        self._state = state
        self._resume = resume
        self._edges = EdgesOf(graph)
        self._left = Left()
        self._thread = uuid.uuid4().hex
        self._config = self._configured()
        self._context = self._known_context()

    def _configured(self) -> RunnableConfig:
        tools = [EnvironmentTool.of(spec) for spec in self._stage.specs]
        model = ChatModel()
        own: Any = getattr(self._graph, "config", None) or {}
        return {
            "recursion_limit": own.get("recursion_limit", MAX_STEPS),
            "configurable": {
                "thread_id": self._thread,
                "model": model,
                "llm": model,
                "tools": tools,
                "session": StagedSession(self._stage),
            },
        }

    def _known_context(self) -> Any:
        """What a graph's `context_schema` names of the things that its config holds; None without any."""
        wanted = getattr(getattr(self._graph, "context_schema", None), "__annotations__", {})
        parts = self._config["configurable"]
        return {name: parts[name] for name in wanted if name in parts and name != "thread_id"} or None

    async def run(self) -> Transcript:
        """Play the episode to its end. It may end by a budget, the environment or `recursion_limit`."""
        make_room(asyncio.get_running_loop())
        self._stage.enter()
        try:
            with tracing_context(enabled=False):  # whatever LANGSMITH_* says: nothing leaves the machine
                stop = await self._converse()
        except Exception as e:
            stop = self._stop_of(e)
        finally:
            self._stage.leave()
            await self._forget()
        if "messages" in self._left.values:
            self._stage.keep(self._left.messages)
        return self._stage.transcript(self._stage.stop or stop)

    def _stop_of(self, error: Exception) -> str:
        """Why the graph stopped, where that is no failure; else the error, raised again under its owner."""
        for cause in causes(error):
            if isinstance(cause, RolloutError):
                raise cause from None
            if isinstance(cause, LimitReached):
                return cause.reason
            if isinstance(cause, EpisodeOver):
                return "ended"
            if isinstance(cause, GraphRecursionError):
                return "max_steps"
        raise error

    async def _converse(self) -> str:
        given: Any = {**self._state, "messages": to_messages(self._stage.session.prompt)}
        while True:
            left = await self._invoke(given)
            if self._stage.stop:
                return self._stage.stop
            if left.interrupts:
                answers = await self._ask(left)
                if answers is None:
                    return "completed"
                given = Command(resume=answers)
            elif left.paused:
                given = None
            else:
                more = await self._answer(left.messages)
                if not more:
                    return self._stage.stop or _incomplete(left.messages) or "completed"
                given = self._next(left, more)

    async def _invoke(self, given: Any) -> Left:
        graph, trace, left = self._graph, self._stage.trace, Left()
        trace.begin(self._name)
        try:
            modes: Any = ["tasks", "values"]
            stream: Any = graph.astream(
                given, self._config, context=self._context, stream_mode=modes, subgraphs=True
            )
            async for namespace, mode, chunk in stream:
                if mode == "tasks":
                    trace.task(namespace, chunk, self._edges)
                elif not namespace:
                    self._note(left, chunk)
        finally:
            trace.finish(self._edges)
            if not left.values:
                left.values = self._left.values
            self._left = left
        if not isinstance(left.values.get("messages"), list):
            raise HarnessError(f"graph {self._name}: its state has no list `messages`")
        if not left.interrupts and (graph.interrupt_before_nodes or graph.interrupt_after_nodes):
            left.paused = bool((await graph.aget_state(self._config)).next)
        return left

    def _note(self, left: Left, chunk: Any) -> None:
        if not isinstance(chunk, Mapping):
            chunk = getattr(chunk, "__dict__", {})
        values = dict(chunk)
        left.interrupts = values.pop("__interrupt__", ())
        if values or not left.values:
            left.values = values
        self._left = left

    async def _ask(self, left: Left) -> JSONObject | None:
        """The user's replies to interrupts, by interrupt; None when the user has nothing to say."""
        answers: JSONObject = {}
        for interrupt in left.interrupts:
            if self._graph.checkpointer is None or isinstance(self._graph.checkpointer, bool):
                raise HarnessError(
                    f"graph {self._name}: it interrupts, and can be resumed only with a checkpointer: "
                    "`builder.compile(checkpointer=InMemorySaver())`"
                )
            span = self._stage.trace.open("interrupt", self._name)
            reply: Any = await self._stage.say(as_text(interrupt.value), left.values.get("messages", []))
            self._stage.trace.close(span)
            if reply is None and not self._stage.session.multi_turn:
                reply = self._resume
            if reply is None:
                return None
            answers[interrupt.id] = reply
        return answers

    async def _answer(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """What the graph has not done itself: the tools that its last message calls, or the user's reply."""
        last = messages[-1] if messages else None
        if isinstance(last, AIMessage) and last.tool_calls:
            answers: list[BaseMessage] = [*await run_calls(last)]
            return [] if self._stage.stop else answers
        made = [m for m in messages[len(self._stage.session.prompt) :] if isinstance(m, AIMessage)]
        text = text_of_message(made[-1]) if made else ""
        if _incomplete(messages):
            self._stage.said(text, messages)
            return []
        reply = await self._stage.say(text, messages)
        return [] if reply is None else [HumanMessage(reply)]

    def _next(self, left: Left, more: list[BaseMessage]) -> Any:
        """The input with which the graph goes on: with a checkpointer it knows what was, else it is told again."""
        remembers = self._graph.checkpointer is not None and self._graph.checkpointer is not False
        if remembers and not isinstance(self._graph.channels.get("messages"), LastValue):
            return {"messages": more}
        return {**left.values, "messages": [*left.messages, *more]}

    async def _forget(self) -> None:
        """Memory must not grow with the number of rollouts."""
        forget = getattr(self._graph.checkpointer, "adelete_thread", None)
        if forget is not None:
            await forget(self._thread)


def as_text(value: Any) -> str:
    """What an interrupt says to the user: its text, the usual fields of one, or the whole as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        for key in ("question", "query", "message", "text", "prompt"):
            if isinstance(value.get(key), str):
                return str(value[key])
    return orjson.dumps(value, default=str).decode()


def make_room(loop: asyncio.AbstractEventLoop) -> None:
    """Threads enough on `loop` for sync nodes; the default is a handful, one for each processor and four."""
    if loop not in _roomy:
        _roomy.add(loop)
        loop.set_default_executor(ThreadPoolExecutor(_THREADS, "gym-mcp graph"))


def _incomplete(messages: Sequence[BaseMessage]) -> str:
    last = messages[-1] if messages else None
    details = last.response_metadata.get("incomplete_details") if isinstance(last, AIMessage) else None
    return str(details["reason"]) if details else ""
