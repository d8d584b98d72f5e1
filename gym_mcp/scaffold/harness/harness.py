"""Ask the model, run its calls, show it the results, until it has said its last word."""

from __future__ import annotations

from gym_mcp.client import AgentSession
from gym_mcp.errors import LimitReached
from gym_mcp.harness import Limits
from gym_mcp.models.base import Model, Request, Response
from gym_mcp.options import Options as BaseOptions
from gym_mcp.toolcalls import output_item, read_arguments
from gym_mcp.types import Item, ToolResult, Transcript, text_of, user_message


class Options(BaseOptions):
    """What `--set harness_options.NAME=VALUE` sets. `system`: a system message before the task."""

    system: str = ""


class MyHarness:
    """One object serves all rollouts of a run: what belongs to one rollout lives in `run`."""

    def __init__(self, options: Options) -> None:
        self._options = options

    async def run(self, session: AgentSession, model: Model, limits: Limits) -> Transcript:
        """Play one episode. It sees the agent plane and a model, nothing else."""
        transcript = Transcript()
        conversation: list[Item] = list(session.prompt)
        if self._options.system:
            conversation.insert(0, {"type": "message", "role": "system", "content": self._options.system})
        tools = [spec.as_function() for spec in await session.list_tools()]
        while True:
            try:
                response = await model.respond(Request(conversation, tools, dict(session.params)))
            except LimitReached as limit:  # a spent budget: the episode is scored as it stands
                transcript.stop = limit.reason
                return transcript
            answers, stop = await self._answer(session, response)
            for items in (response.output, answers):
                transcript.items += items
                conversation += items
            if stop:
                transcript.stop = stop
                return transcript

    async def _answer(self, session: AgentSession, response: Response) -> tuple[list[Item], str]:
        """What the model is told next: tool results or the user's reply; and why that is the end, if it is."""
        answers: list[Item] = []
        ended = False
        calls = [item for item in response.output if item.get("type") == "function_call"]
        for call in calls:
            result = read_arguments(call)
            if not isinstance(result, ToolResult):
                result = await session.call(call["name"], result)
            answers.append(output_item(call["call_id"], result))
            ended = ended or result.ended
        if calls:
            return answers, "ended" if ended else ""
        if response.incomplete:  # cut short: no message that a user could reply to
            return [], response.incomplete
        said = "".join(text_of(item) for item in response.output if item.get("role") == "assistant")
        reply = await session.reply(said) if session.multi_turn else None
        return ([], "completed") if reply is None else ([user_message(reply)], "")


def create(options: Options) -> MyHarness:
    """Called once a run."""
    return MyHarness(options)
