"""What the gateway's tests share: a model that plays a script, and a session in front of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from gym_mcp.gateway import Gateway, GatewaySession
from gym_mcp.models.base import Model, Request, Response, Usage
from gym_mcp.types import Item, assistant_message

Turn = Sequence[Item] | Exception | Callable[[Request], Any]
TOOL: dict[str, Any] = {
    "name": "add",
    "description": "Add numbers.",
    "parameters": {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]},
}


class Scripted(Model):
    """Turn `n` gets `turns[n]`, the last one for ever: items, an exception, or a function of the request.

    Where `held` is an event, answers wait for it.
    """

    spec = "scripted/model"

    def __init__(self, *turns: Turn, usage: Usage | None = None, delay: float = 0.0) -> None:
        self.turns = turns
        self.requests: list[Request] = []
        self.cancelled = 0
        self.arrived = asyncio.Event()
        self.gone = asyncio.Event()
        self.held: asyncio.Event | None = None
        self._usage = usage or Usage(30, 7, 10, 2, 1)
        self._delay = delay

    async def respond(self, request: Request) -> Response:
        turn = self.turns[min(len(self.requests), len(self.turns) - 1)]
        self.requests.append(request)
        self.arrived.set()
        try:
            if self.held is not None:
                await self.held.wait()
            await asyncio.sleep(self._delay)
        except asyncio.CancelledError:
            self.cancelled += 1
            self.gone.set()
            raise
        if isinstance(turn, Exception):
            raise turn
        given = turn(request) if callable(turn) else turn
        if isinstance(given, Response):
            return given
        return Response(list(given), self._usage, id=f"r{len(self.requests)}", model="scripted")


def say(text: str) -> Item:
    return {"id": "msg_1", **assistant_message(text)}


def call(name: str, arguments: str, call_id: str = "call_1") -> Item:
    return {
        "type": "function_call",
        "id": f"fc_{call_id}",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": "completed",
    }


def think(text: str) -> Item:
    content = [{"type": "reasoning_text", "text": text}]
    return {"type": "reasoning", "id": "rs_1", "summary": [], "content": content}


@contextlib.asynccontextmanager
async def served(model: Model, *, keep_alive: float = 15.0, **options: Any) -> AsyncIterator[GatewaySession]:
    """A session of a gateway of its own."""
    async with Gateway(keep_alive=keep_alive) as gateway:
        yield gateway.open(model, **options)
