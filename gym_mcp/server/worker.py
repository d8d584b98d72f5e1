"""A worker of `gym-mcp serve --workers`: both planes of all environments on a port of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from gym_mcp import hub
from gym_mcp.crew.channel import Channel
from gym_mcp.crew.process import live_and_die_with
from gym_mcp.errors import UsageError
from gym_mcp.fastloop import run_loop
from gym_mcp.server.offer import Offer, identities
from gym_mcp.server.row import Place
from gym_mcp.server.run import serve_on
from gym_mcp.server.service import Service
from gym_mcp.types import JSONObject

_HELLO: Final = 60.0


async def _main(sock: socket.socket) -> None:
    channel = await Channel.over(sock)
    messages = channel.messages()
    try:
        async with asyncio.timeout(_HELLO):
            hello = await anext(messages)
        await _serve(hello, messages, channel)
    except StopAsyncIteration:  # the server went before it said what to do
        pass
    except Exception as e:
        if not isinstance(e, UsageError):
            traceback.print_exception(e, file=sys.stderr)
        channel.send({"error": "usage" if isinstance(e, UsageError) else "bug", "message": str(e)})
    await channel.aclose()


async def _serve(hello: JSONObject, messages: AsyncIterator[JSONObject], channel: Channel) -> None:
    sys.path[:] = hello["path"]
    for root in reversed(hello["hubs"]):
        hub.add_root(Path(root))
    place = Place(hello["worker"], hello["workers"])
    sockets = [socket.socket(fileno=descriptor) for descriptor in hello["sockets"]]
    for inherited in sockets:
        inherited.set_inheritable(False)  # what an environment starts must not keep the port
    services = Offer.model_validate(hello["offer"]).services(place)
    channel.send({"loaded": identities(services)})
    answer = await anext(messages)
    if not answer.get("serve"):
        return
    stop = asyncio.Event()
    listening = asyncio.create_task(_until_told(messages, stop))
    try:
        await serve_on(
            services,
            sockets,
            hello["names"],
            key=hello["key"],
            allow_hosts=hello["allow_hosts"],
            place=place,
            ready=lambda: channel.send({"ready": os.getpid(), "names": _names(services)}),
            stop=stop,
        )
    finally:
        listening.cancel()


def _names(services: list[Service]) -> list[str]:
    return [service.name for service in services]


async def _until_told(messages: AsyncIterator[JSONObject], stop: asyncio.Event) -> None:
    async for message in messages:
        if message.get("end"):
            break
    stop.set()  # also when the supervisor is gone


def main(descriptor: str, parent: str) -> None:
    """Entry point of the process: the number of its socket, the supervisor's process id."""
    live_and_die_with(int(parent))
    os.set_inheritable(int(descriptor), False)
    run_loop(_main(socket.socket(fileno=int(descriptor))))
