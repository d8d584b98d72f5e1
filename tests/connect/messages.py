"""A scripted Anthropic Messages endpoint, a test double: the next tool call for each request, then a last word."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Call = tuple[str, dict[str, Any]]


@dataclass
class Script:
    """`calls` in order; `requests` are those that offered tools, as they came."""

    calls: Sequence[Call]
    requests: list[dict[str, Any]] = field(default_factory=list)

    def block(self, body: dict[str, Any]) -> dict[str, Any]:
        """The content block that answers a request."""
        if body.get("tools"):
            self.requests.append(body)
            turn = len(self.requests) - 1
            if turn < len(self.calls):
                name, arguments = self.calls[turn]
                return {"type": "tool_use", "id": f"toolu_{turn}", "name": name, "input": arguments}
        return {"type": "text", "text": "All done."}

    def seen(self) -> str:
        """Everything that the model was told, as text."""
        return json.dumps(self.requests)


def _events(block: dict[str, Any]) -> list[dict[str, Any]]:
    is_call = block["type"] == "tool_use"
    empty = {**block, "input": {}} if is_call else {**block, "text": ""}
    delta = (
        {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        if is_call
        else {"type": "text_delta", "text": block["text"]}
    )
    usage = {"input_tokens": 10, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    stop = {"stop_reason": "tool_use" if is_call else "end_turn", "stop_sequence": None}
    return [
        {
            "type": "message_start",
            "message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage},
        },
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]


@asynccontextmanager
async def endpoint(script: Script) -> AsyncIterator[str]:
    """Serve the script; its base URL."""

    async def messages(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        block = script.block(body)
        if not body.get("stream"):
            usage = {"input_tokens": 10, "output_tokens": 5}
            stop = "tool_use" if block["type"] == "tool_use" else "end_turn"
            answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [block]}
            return web.json_response({**answer, "stop_reason": stop, "stop_sequence": None, "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in _events(block):
            await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        return response

    async def count(request: web.Request) -> web.StreamResponse:
        return web.json_response({"input_tokens": 10})

    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/v1/messages", messages)
    app.router.add_post("/v1/messages/count_tokens", count)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        async with asyncio.timeout(10):
            await runner.cleanup()
