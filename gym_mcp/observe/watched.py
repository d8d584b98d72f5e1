"""A rollout's session and model with their calls counted, and told of where somebody watches."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from gym_mcp.client import AgentSession
from gym_mcp.models.base import Model, Request, Response
from gym_mcp.observe.stages import MODEL, TOOL, Activity
from gym_mcp.types import JSONObject, ToolResult, ToolSpec


class StagedSession(AgentSession):
    """The session that a harness gets: the episode's own, whose calls are counted."""

    __slots__ = ("_activity", "_session", "multi_turn", "params", "prompt", "url")

    def __init__(self, session: AgentSession, activity: Activity) -> None:
        self._session = session
        self._activity = activity
        self.prompt = session.prompt
        self.params = session.params
        self.multi_turn = session.multi_turn
        self.url = session.url

    async def list_tools(self) -> Sequence[ToolSpec]:
        return await self._session.list_tools()

    async def call(self, name: str, arguments: JSONObject, caller: str = "") -> ToolResult:
        activity = self._activity
        activity.stages.tool_calls += 1
        activity.tools += 1
        activity.since = monotonic()
        try:
            return await self._session.call(name, arguments, caller)
        finally:
            activity.tools -= 1
            activity.since = monotonic()

    async def reply(self, message: str) -> str | None:
        return await self._session.reply(message)


class WatchedSession(StagedSession):
    """The same, and watchers hear of each call."""

    async def call(self, name: str, arguments: JSONObject, caller: str = "") -> ToolResult:
        step = self._activity.start(TOOL, name)
        step.arguments, step.caller = arguments, caller
        try:
            step.answer = result = await super().call(name, arguments, caller)
        except BaseException as error:
            self._activity.finish(step, error)
            raise
        self._activity.finish(step)
        return result


class WatchedModel(Model):
    """The model of a rollout that watchers hear of. It stands below the meter, so refused calls are none."""

    def __init__(self, model: Model, activity: Activity) -> None:
        self.spec = model.spec
        self.price = model.price
        self._model = model
        self._activity = activity
        self._started = 0

    async def respond(self, request: Request) -> Response:
        step = self._activity.start(MODEL, self.spec)
        step.request, step.size = request, len(request.input)
        step.seq = self._started
        self._started += 1
        try:
            step.answer = response = await self._model.respond(request)
        except BaseException as error:
            self._activity.finish(step, error)
            raise
        self._activity.finish(step)
        return response


def watched_session(session: AgentSession, activity: Activity) -> AgentSession:
    """`session`, with its calls counted, and told of where somebody watches."""
    return (WatchedSession if activity.stages.watchers else StagedSession)(session, activity)


def watched_model(model: Model, activity: Activity) -> Model:
    """`model`, told of where somebody watches; the meter counts its calls."""
    return WatchedModel(model, activity) if activity.stages.watchers else model
