"""What a graph acts on in one rollout: its model, its environment, and the record of both."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from gym_mcp.client import AgentSession
from gym_mcp.errors import GymError, HarnessError, LimitReached, UsageError
from gym_mcp.langgraph.messages import RAW, text_of_message, to_items
from gym_mcp.langgraph.spans import Trace
from gym_mcp.models.base import Model, Request, Response
from gym_mcp.toolcalls import call_item, output_item, read_arguments
from gym_mcp.turns import Turns
from gym_mcp.types import (
    Item,
    JSONObject,
    ToolResult,
    ToolSpec,
    Transcript,
    assistant_message,
    text_of,
    user_message,
)

T = TypeVar("T")
_LONGEST: Final = 7_200.0
"""Seconds that a node in a thread waits for a call; calls have tighter limits of their own."""
_current: ContextVar[Stage] = ContextVar("gym_mcp.langgraph.stage")


class EpisodeOver(GymError):
    """The environment has ended the episode: the graph is stopped at its next model call."""


def stage() -> Stage:
    """The stage of the rollout that runs; `UsageError` outside one."""
    found = _current.get(None)
    if found is None:
        raise UsageError(
            "gym_mcp.langgraph: `model` and `tools` work inside a rollout only: "
            "gym-mcp eval run -H langgraph:FILE.py:GRAPH -e ENVIRONMENT"
        )
    return found


def has_stage() -> bool:
    return _current.get(None) is not None


def session() -> AgentSession:
    """The agent plane of the rollout that runs, for nodes that call it themselves; the spans have their calls."""
    return StagedSession(stage())


@dataclass(slots=True)
class _Entry:
    """Something that was produced or told. What is not `kept` is no part of the transcript."""

    items: list[Item]
    kept: bool = True
    message_id: str = ""
    span: JSONObject | None = None


@dataclass
class Stage:
    """One rollout: every call of the graph comes through here."""

    session: AgentSession
    model: Model
    specs: Sequence[ToolSpec]
    trace: Trace = field(default_factory=Trace)
    stop: str = ""
    """Why the graph must stop: a spent budget, or `ended`."""

    def __post_init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.read_only = {spec.name for spec in self.specs if spec.read_only}
        self._entries: list[_Entry] = []
        self._turns = Turns()
        self._pending: set[Future[Any]] = set()

    async def respond(self, items: Sequence[Item], tools: Sequence[Item], params: JSONObject) -> Response:
        """One model call. Raises `EpisodeOver` once the episode has ended."""
        if self.stop == "ended":
            raise EpisodeOver("the episode has ended")
        span = self.trace.open_call("model", self.model.spec)
        try:
            response = await self.model.respond(Request(items, tools, {**self.session.params, **params}))
        except LimitReached as limit:
            self.stop = self.stop or limit.reason
            raise
        finally:
            self.trace.close(span)
        span["model_calls"] = [response.seq]
        return self._record(response, span)

    def _record(self, response: Response, span: JSONObject) -> Response:
        entry = _Entry(response.output, False, self.message_id(response), span)
        self._entries.append(entry)
        return response

    @staticmethod
    def message_id(response: Response) -> str:
        """The id that the answer has as a message; unique in its rollout."""
        return f"{response.id or 'resp'}/{response.seq}"

    async def call(self, name: str, arguments: JSONObject, call_id: str = "") -> ToolResult:
        """One tool call, in the order in which the calls came in; only those of read-only tools overlap."""
        span = self.trace.open_call("tool", name)
        try:
            result = await self._call(name, arguments, span["id"])
        finally:
            self.trace.close(span)
        if result.ended:
            self.stop = self.stop or "ended"
        self._told(name, arguments, call_id, result)
        return result

    async def _call(self, name: str, arguments: JSONObject, caller: str) -> ToolResult:
        if RAW in arguments:
            found = read_arguments({"name": name, "arguments": arguments[RAW]})
            if isinstance(found, ToolResult):
                return found
        if name in self.read_only:
            await self._turns.enter_shared()
            try:
                return await self.session.call(name, arguments, caller)
            finally:
                self._turns.leave_shared()
        async with self._turns:
            return await self.session.call(name, arguments, caller)

    def _told(self, name: str, arguments: JSONObject, call_id: str, result: ToolResult) -> None:
        call_id = call_id or self._unanswered(name, arguments)
        made = self._made(call_id)
        if made is not None:
            made.kept = True
            self._entries.append(_Entry([output_item(call_id, result)]))
        else:  # a node called the tool itself
            call_id = f"node_{len(self._entries)}"
            self._entries.append(_Entry([call_item(name, arguments, call_id), output_item(call_id, result)]))

    def _unanswered(self, name: str, arguments: JSONObject) -> str:
        """The id of the model's call that a node makes itself, if the model asked for it."""
        told = _ids((i for e in self._entries for i in e.items), "function_call_output")
        for entry in reversed(self._entries):
            for item in entry.items:
                if item.get("type") == "function_call" and item.get("name") == name:
                    if item.get("call_id") not in told and read_arguments(item) == arguments:
                        return str(item["call_id"])
        return ""

    def _made(self, call_id: str) -> _Entry | None:
        """The answer that asked for a call; of several samples that did, one that stands already."""
        found = [e for e in self._entries if call_id and call_id in _ids(e.items, "function_call")]
        return next((e for e in reversed(found) if e.kept), found[-1] if found else None)

    async def say(self, text: str, messages: Sequence[BaseMessage] = ()) -> str | None:
        """Tell the user `text`; their reply, or None when there is none. `messages`: the graph's own."""
        self.said(text, messages)
        if not self.session.multi_turn:
            return None
        reply = await self.session.reply(text)
        if reply is not None:
            self._entries.append(_Entry([user_message(reply)]))
        return reply

    def said(self, text: str, messages: Sequence[BaseMessage] = ()) -> None:
        """What the agent says is in the transcript, after whatever led to it."""
        self.keep(messages)
        if text and self._transcript().answer != text:
            self._entries.append(_Entry([assistant_message(text)]))

    def keep(self, messages: Sequence[BaseMessage]) -> None:
        """Answers that stand among `messages` are part of the transcript."""
        told = _ids((i for e in self._entries for i in e.items), "function_call_output")
        made = {e.message_id for e in self._entries}
        ids = {message.id for message in messages}
        # A graph that makes its own model gives its messages ids of its own.
        others = {text_of_message(m) for m in messages if isinstance(m, AIMessage) and m.id not in made} - {""}
        for entry in self._entries:
            text = "".join(map(text_of, entry.items)) if others and entry.message_id else ""
            entry.kept = entry.kept or entry.message_id in ids or text in others
        for item in to_items(m for m in messages if isinstance(m, ToolMessage) and m.tool_call_id not in told):
            asked = self._made(item["call_id"])
            if asked is not None and asked.kept:  # a tool of the graph's own answered, or its node did
                self._entries.insert(self._entries.index(asked) + 1, _Entry([item]))

    def _transcript(self) -> Transcript:
        return Transcript([item for entry in self._entries if entry.kept for item in entry.items])

    def transcript(self, stop: str) -> Transcript:
        """All that the agent produced and was told; the model's other answers are in their spans."""
        for entry in self._entries:
            if not entry.kept and entry.span is not None:
                entry.span["output"] = entry.items
        transcript = self._transcript()
        transcript.stop, transcript.spans = stop, self.trace.settle()
        return transcript

    def wait_in_thread(self, call: Coroutine[Any, Any, T]) -> T:
        """Run `call` on the rollout's loop for a node that runs in a thread."""
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self.loop:
            call.close()
            raise HarnessError("an async node must await the model and tools: `await model.ainvoke(...)`")
        future = asyncio.run_coroutine_threadsafe(call, self.loop)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future.result(_LONGEST)

    def enter(self) -> None:
        """Make this the stage of the running task and what it starts."""
        _current.set(self)

    def leave(self) -> None:
        """Give up calls that nobody waits for any more: a node in a thread cannot be cancelled, its call can."""
        for future in list(self._pending):
            future.cancel()


class StagedSession(AgentSession):
    """The session that nodes see: their own calls are recorded as the others are."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.prompt = stage.session.prompt
        self.params = stage.session.params
        self.multi_turn = stage.session.multi_turn
        self.url = stage.session.url

    async def list_tools(self) -> Sequence[ToolSpec]:
        return self._stage.specs

    async def call(self, name: str, arguments: JSONObject, caller: str = "") -> ToolResult:
        return await self._stage.call(name, arguments)

    async def reply(self, message: str) -> str | None:
        return await self._stage.say(message)


def _ids(items: Iterable[Item], kind: str) -> set[str]:
    return {item.get("call_id", "") for item in items if item.get("type") == kind}
