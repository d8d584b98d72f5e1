"""The tool loop: ask the model, run its calls, show it the results, until it has said its last word."""

from __future__ import annotations

from collections.abc import Sequence

from gym_mcp.client import AgentSession
from gym_mcp.errors import LimitReached
from gym_mcp.harness import Limits
from gym_mcp.models.base import Model, Request
from gym_mcp.toolcalls import output_item, read_arguments
from gym_mcp.types import Item, ToolResult, Transcript, text_of, user_message


async def run(session: AgentSession, model: Model, limits: Limits) -> Transcript:
    """Play one episode. Spent budgets end it with what was done so far."""
    transcript = Transcript()
    conversation = list(session.prompt)
    tools = [spec.as_function() for spec in await session.list_tools()]
    params = dict(session.params)
    while True:
        try:
            response = await model.respond(Request(conversation, tools, params))
        except LimitReached as limit:
            transcript.stop = limit.reason
            return transcript
        transcript.items += response.output
        conversation += response.output  # reasoning items too: the next turn may need them
        calls = [item for item in response.output if item.get("type") == "function_call"]
        if calls:
            answers, ended = await _run_calls(session, calls)
        elif response.incomplete:
            transcript.stop = response.incomplete
            return transcript
        else:
            answers, ended = await _next_user_turn(session, response.output)
        transcript.items += answers
        conversation += answers
        if ended:
            transcript.stop = "ended" if calls else "completed"
            return transcript


async def _run_calls(session: AgentSession, calls: Sequence[Item]) -> tuple[list[Item], bool]:
    """Run a turn's calls in the order the model gave them; (their outputs, whether the episode ended)."""
    outputs: list[Item] = []
    ended = False
    for call in calls:
        result = await _run_call(session, call)
        ended = ended or result.ended
        outputs.append(output_item(call.get("call_id", ""), result))
    return outputs, ended


async def _run_call(session: AgentSession, call: Item) -> ToolResult:
    arguments = read_arguments(call)
    return arguments if isinstance(arguments, ToolResult) else await session.call(call.get("name", ""), arguments)


async def _next_user_turn(session: AgentSession, output: Sequence[Item]) -> tuple[list[Item], bool]:
    """What the user says to the model's message; (items to add, whether the conversation is over)."""
    if not session.multi_turn:
        return [], True
    said = "".join(text_of(item) for item in output if item.get("role") == "assistant")
    reply = await session.reply(said)
    return ([], True) if reply is None else ([user_message(reply)], False)
