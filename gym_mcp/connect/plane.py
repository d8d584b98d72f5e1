"""The agent plane of a seat: the environment's tools, and those that an agent without a harness needs.

Verification, answers, other seats and the operator have no name here either; a verdict is told only as the seat
allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Annotated, Any, Final

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from pydantic import Field

from gym_mcp.connect.seat import NO_MORE, Seat
from gym_mcp.episode import FINISHED, Episode
from gym_mcp.errors import RolloutError, ToolError, UsageError
from gym_mcp.server.agent import PROMPT, AgentPlane, Context, as_mcp, as_mcp_tool, handlers, prompt_messages
from gym_mcp.server.service import Service
from gym_mcp.tools import Tool, tool, tools_of
from gym_mcp.types import Item, JSONObject, ToolResult, ToolSpec, text_of

seated: ContextVar[Seat] = ContextVar("seat")
"""The seat of the request in progress."""
_CLASH_PREFIX: Final = "gym_"
_INSTRUCTED: Final = 2_000
"""Characters of the task in the server's instructions: clients cut long ones."""


class SeatTools:
    """What a seat adds to the environment's tools. A failure's text stays here: it may hold the answer."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat

    @tool(read_only=True)
    async def get_task(self) -> list[types.ContentBlock]:
        """Read your task. Call this first, and again whenever you need its exact wording."""
        if self.seat.current.over:
            return [_text(over(self.seat))]
        blocks = [m.content for item in self.seat.current.task.prompt for m in prompt_messages(item)]
        return [*blocks, _text(how_to_end(self.seat))]

    @tool
    async def submit(
        self, answer: Annotated[str, Field(description="Your final answer, when the task asks for one.")] = ""
    ) -> str:
        """Finish the episode: it is scored once, and no other tool works after that."""
        again = self.seat.current.over
        row = await self.seat.submit(answer)
        return over(self.seat) if again else f"{verdict(self.seat, row)}\n\n{how_to_go_on(self.seat)}"

    @tool
    async def send_message(
        self, message: Annotated[str, Field(description="What you say to the user of this episode.")]
    ) -> str:
        """Say something to the user of the episode and get their answer: how you move in dialogues and games."""
        try:
            answer = await self.seat.say(message)
        except RolloutError:
            raise ToolError(f"The user could not answer. Call `{names(self.seat)['submit']}`.") from None
        if answer is not None:
            return answer
        if self.seat.current.over:
            raise ToolError(over(self.seat))
        return f"The conversation is over. Call `{names(self.seat)['submit']}` to finish."

    @tool
    async def next_task(self) -> str:
        """Go on to the next task, once this one is submitted. The tools stay the same unless it says otherwise."""
        before = self.seat.current.specs
        if not self.seat.current.over:
            raise ToolError(f"This task is unfinished: call `{names(self.seat)['submit']}` first.")
        try:
            await self.seat.take()
        except UsageError:
            raise ToolError(NO_MORE) from None
        except RolloutError:
            raise ToolError("The next task could not be opened. It is recorded as failed.") from None
        changed = "" if self.seat.current.specs == before else " Its tools differ: list the tools again."
        return f"The next task is ready.{changed} Call `{names(self.seat)['get_task']}`."


_OWN: Final = tools_of(SeatTools)


def names(seat: Seat) -> dict[str, str]:
    """What the seat's own tools are called: by their names, unless the environment has a tool of that name."""
    taken = {*seat.service.environment_type.tools(), *(spec.name for spec in seat.current.specs)}
    return {name: _free(name, taken) for name in _OWN if _offered(seat, name)}


def _offered(seat: Seat, name: str) -> bool:
    return {"send_message": seat.multi_turn, "next_task": seat.may_go_on}.get(name, True)


def _free(name: str, taken: Iterable[str]) -> str:
    while name in taken:
        name = f"{_CLASH_PREFIX}{name}"
    return name


def own_tools(seat: Seat) -> dict[str, Tool]:
    """The seat's own tools under the names that they have here."""
    called = names(seat)
    found: dict[str, Tool] = {}
    for name, shown in called.items():
        found[shown] = _OWN[name].renamed(shown)
    return found


def verdict(seat: Seat, row: JSONObject) -> str:
    """What the agent is told of a terminal row: score and named parts, unless the seat hides them."""
    if seat.hide_score:
        return "Submitted and recorded."
    if row["outcome"] != "scored":
        return "Submitted, but it could not be scored: something failed that was not yours. Recorded as failed."
    cls = seat.service.environment_type
    low, high = cls.reward_range
    better = "" if cls.higher_is_better else ", lower is better"
    lines = [f"Submitted. Score: {row['reward']:g} (from {low:g} to {high:g}{better})"]
    lines += [f"- {part}: {value:g}" for part, value in row["components"].items()]
    return "\n".join(lines)


def over(seat: Seat) -> str:
    """Why nothing more can be done in this episode, and how to go on."""
    row = seat.current.row
    score = ""
    if row is not None and row["outcome"] == "scored" and not seat.hide_score:
        score = f" (score {row['reward']:g})"
    return f"This episode is over{score}. {how_to_go_on(seat)}"


def how_to_go_on(seat: Seat) -> str:
    """Which way leads to the next task."""
    if not seat.has_next:
        return NO_MORE
    if seat.may_go_on:
        return f"Call `{names(seat)['next_task']}` for the next task."
    return "The user can start the next task with `gym-mcp next`; this connection stays as it is."


def how_to_end(seat: Seat) -> str:
    """How the agent moves and how it finishes."""
    called = names(seat)
    talk = f"Speak to the user with `{called['send_message']}`. " if seat.multi_turn else ""
    return f"{talk}When you are done, call `{called['submit']}`, with your final answer if the task asks for one."


def instructions(seat: Seat) -> str:
    """The server's instructions: what to call first, and the task as far as it fits."""
    first = f"Call `{names(seat)['get_task']}` first: it gives you the task. {how_to_end(seat)}"
    if seat.current.over:
        return first
    task = "\n\n".join(filter(None, map(text_of, seat.current.task.prompt)))
    cut = task if len(task) <= _INSTRUCTED else f"{task[:_INSTRUCTED]} [...]"
    return f"{first}\n\nThe task:\n{cut}"


class SeatPlane(AgentPlane):
    """The handlers of a seat's plane."""

    def __init__(self, service: Service) -> None:
        super().__init__(service, lambda ctx: _live())

    async def list_tools(self, ctx: Context, params: Any) -> types.ListToolsResult:
        seat = seated.get()
        if seat.current.episode is not None:
            seat.current.episode.seen = True
        own = [t.spec for t in own_tools(seat).values()]
        return types.ListToolsResult(
            tools=[as_mcp_tool(spec) for spec in (*_worded(own, seat), *seat.current.specs)]
        )

    async def call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        seat, arguments = seated.get(), params.arguments or {}
        own = own_tools(seat).get(params.name)
        if own is not None:
            return await _call_own(own, seat, arguments)
        result = await seat.call(params.name, arguments)
        if result is None:
            return as_mcp(ToolResult(over(seat), is_error=True))
        answered = as_mcp(replace(result, ended=False))
        if result.ended and not seat.current.over:
            answered.content.append(_text(f"The episode has ended. Call `{names(seat)['submit']}` to finish."))
        return answered

    async def get_prompt(self, ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        seat = seated.get()
        if params.name != PROMPT:
            raise MCPError(types.INVALID_PARAMS, "No such prompt.")
        last = types.PromptMessage(
            role="user", content=_text(over(seat) if seat.current.over else how_to_end(seat))
        )
        prompt: Sequence[Item] = () if seat.current.over else seat.current.task.prompt
        return types.GetPromptResult(messages=[*(m for item in prompt for m in prompt_messages(item)), last])

    async def list_prompts(self, ctx: Context, params: Any) -> types.ListPromptsResult:
        prompt = types.Prompt(name=PROMPT, description="What to do in this episode.")
        return types.ListPromptsResult(prompts=[prompt])

    async def list_resources(self, ctx: Context, params: Any) -> types.ListResourcesResult:
        if seated.get().current.episode is None:
            return types.ListResourcesResult(resources=[])
        return await super().list_resources(ctx, params)

    async def list_templates(self, ctx: Context, params: Any) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=[])


async def _call_own(own: Tool, seat: Seat, arguments: JSONObject) -> types.CallToolResult:
    try:
        value = await own.invoke(SeatTools(seat), own.validate(arguments))
    except ToolError as e:
        return as_mcp(ToolResult(str(e), is_error=True))
    content = value if isinstance(value, list) else [_text(value)]
    return types.CallToolResult(content=content)


def _worded(specs: Iterable[ToolSpec], seat: Seat) -> list[ToolSpec]:
    called: Mapping[str, str] = names(seat)
    first = f" ({how_to_end(seat)})"
    return [replace(s, description=s.description + first) if s.name == called["get_task"] else s for s in specs]


def _live() -> Episode:
    episode = seated.get().current.episode
    if episode is None:
        raise MCPError(types.INVALID_PARAMS, FINISHED)
    return episode


def _text(text: str) -> types.TextContent:
    return types.TextContent(text=text)


class _SeatServer(Server[Any]):
    """Its instructions are those of the seat that a request is for."""

    @property
    def instructions(self) -> str | None:
        seat = seated.get(None)
        return None if seat is None else instructions(seat)

    @instructions.setter
    def instructions(self, value: str | None) -> None:
        """The SDK sets what it was given: nothing."""


def seat_server(service: Service) -> Server[Any]:
    """The SDK server of all seats of one environment type; `seated` says whose request it is."""
    cls = service.environment_type
    server = _SeatServer(cls.name, version=cls.version, **handlers(SeatPlane(service), 0))
    server.middleware.clear()
    return server
