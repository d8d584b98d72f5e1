"""The process of an environment server on a node: the operator and agent planes over HTTP, for a run's actors."""

from __future__ import annotations

import asyncio
import socket

from gym_mcp.coordinator.connect import connect_environment
from gym_mcp.crew.channel import Channel
from gym_mcp.crew.member import greeted, report
from gym_mcp.crew.process import live_and_die_with
from gym_mcp.direct import DirectClient
from gym_mcp.fastloop import run_loop
from gym_mcp.server.run import Serving, serve
from gym_mcp.server.service import Service


async def _main(sock: socket.socket) -> None:
    channel = await Channel.over(sock)
    over = asyncio.Event()
    try:
        hello, config = await greeted(channel)
        client, cls = await connect_environment(config)
        assert isinstance(client, DirectClient)
        description = await client.describe()

        def ready(serving: Serving) -> None:
            (endpoint,) = serving.endpoints.values()
            channel.send({"serving": endpoint.operator_url, "identity": description.identity})

        async with asyncio.TaskGroup() as tasks:
            service = Service(cls, store=client.store)
            tasks.create_task(serve([service], host=hello["where"], port=0, ready=ready, stop=over))
            async for _ in channel.messages():  # none are expected: it serves as long as the run is there
                pass
            over.set()
    except Exception as e:
        report(channel, e)
    await channel.aclose()


def main(descriptor: str, parent: str) -> None:
    """Entry point of the process: the number of its socket, the process id of the actor."""
    live_and_die_with(int(parent))
    run_loop(_main(socket.socket(fileno=int(descriptor))))
