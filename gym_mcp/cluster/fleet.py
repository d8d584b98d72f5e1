"""Environment servers of a run, each in an actor that is placed by what the environment needs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

from gym_mcp.cluster.remote import Places
from gym_mcp.coordinator.connect import differences
from gym_mcp.crew.crew import STILLBORN
from gym_mcp.crew.process import how_it_ended
from gym_mcp.errors import GymError
from gym_mcp.types import JSONObject


class Run(Protocol):
    """What the run wants to hear of its servers."""

    def server_lost(self, server: int, where: str, why: str) -> None: ...

    def server_failed(self, message: str) -> None: ...


class Fleet:
    """`count` servers. Each actor of the run uses one of them, so that no episode is at two."""

    def __init__(self, places: Places, count: int, identity: JSONObject) -> None:
        self._places = places
        self._identity = identity
        self._urls: list[asyncio.Future[str]] = []
        self._count = count
        self._users = Counter[int]()
        self._kill: dict[int, Callable[[], None]] = {}
        self._over = False

    def begin(self, run: Run) -> list[asyncio.Task[None]]:
        """Start them, and others for those that are lost, until `close`."""
        loop = asyncio.get_running_loop()
        self._urls = [loop.create_future() for _ in range(self._count)]
        return [asyncio.create_task(self._keep(server, run)) for server in range(self._count)]

    def take(self) -> int:
        """The server that the fewest actors use, for one more of them."""
        server = min(range(self._count), key=lambda i: self._users[i])
        self._users[server] += 1
        return server

    def leave(self, server: int) -> None:
        """An actor uses it no more."""
        self._users[server] -= 1

    async def settings(self, server: int, config: JSONObject) -> JSONObject:
        """What an actor is told of its server, once that is up."""
        url = await asyncio.shield(self._urls[server])
        parts = urlsplit(url)
        return {
            "config": {**config, "environment": url, "env": {}, "judge": None},
            "served_at": (parts.hostname, parts.port),
        }

    def close(self) -> None:
        """End them all; who waits for one is told so."""
        self._over = True
        for kill in self._kill.values():
            kill()
        for url in self._urls:
            if not url.done():
                url.set_exception(GymError("the run is over"))
                url.exception()  # perhaps nobody waits for it
        self._places.close()

    async def _keep(self, server: int, run: Run) -> None:
        """Have a server where there should be one."""
        stillborn = 0
        while not self._over:
            process, channel = self._places.start()
            self._kill[server] = process.kill
            async for message in channel.messages():
                if "serving" in message:
                    changed = differences(self._identity, message["identity"])
                    if changed:
                        run.server_failed(f"--ray: node {process.where} has another version: {'; '.join(changed)}")
                    else:
                        self._urls[server].set_result(message["serving"])
                elif "error" in message:
                    run.server_failed(message["message"])
            status = await process.ended()
            why = process.lost if status is None else how_it_ended(status)
            if self._urls[server].done() and not self._over:
                stillborn = 0
                self._urls[server] = asyncio.get_running_loop().create_future()
                run.server_lost(server, process.where, why)
            elif not self._over:
                stillborn += 1
                if stillborn >= STILLBORN:
                    run.server_failed(f"{STILLBORN} environment servers in a row died as they started ({why})")
