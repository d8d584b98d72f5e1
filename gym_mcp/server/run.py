"""Serve environments: over HTTP until told to stop, or over stdio until the client leaves."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import uvicorn
from mcp.server.stdio import stdio_server

from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.seeds import episode_seed
from gym_mcp.server.agent import agent_server
from gym_mcp.server.app import BOTH, App, GatedApp
from gym_mcp.server.keys import default_key_file, server_key
from gym_mcp.server.listener import is_wildcard, listen, origin
from gym_mcp.server.operator import operator_server
from gym_mcp.server.row import ALONE, BACKLOG, Place
from gym_mcp.server.service import Service

KEEP_ALIVE: Final = 120
"""Seconds that an idle connection stays open: a model may think that long between two calls."""
_GRACE: Final = 5
"""Seconds that requests in flight have to finish at shutdown."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one environment is served. The agent plane's URL needs a handle in place of `{handle}`.

    `workers`: the operator planes of all workers, the first one's first.
    """

    operator_url: str
    agent_url: str
    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Serving:
    """A running server. `key_file` is None when the key came from the environment."""

    endpoints: dict[str, Endpoint]
    key_file: Path | None


Ready = Callable[[Serving], Awaitable[None] | None]


class _Server(uvicorn.Server):
    """Signals are the caller's business (there may be two of these in one process); `up` says it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


async def serve(
    services: Sequence[Service],
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    operator_host: str | None = None,
    operator_port: int | None = None,
    key_file: Path | None = None,
    allow_hosts: Sequence[str] = (),
    ready: Ready | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until `stop` is set, or SIGINT or SIGTERM where no `stop` is given.

    Port 0 takes a free one. With `operator_port` the operator plane has a listener of its own and the first
    one serves agents alone. `ready` is told the addresses once requests are answered.
    """
    places = places_of(host, port, operator_host, operator_port)
    async with AsyncExitStack() as stack:
        sockets = [stack.enter_context(contextlib.closing(listen(*place))) for place in places]
        names = [name for name, _ in places]
        key, file_used = operator_key(stack, key_file, sockets[-1].getsockname()[1])
        serving = Serving(endpoints([s.name for s in services], sockets, names), file_used)

        def tell() -> Awaitable[None] | None:
            return ready(serving) if ready else None

        await serve_on(services, sockets, names, key=key, allow_hosts=allow_hosts, ready=tell, stop=stop)


async def serve_on(
    services: Sequence[Service],
    sockets: Sequence[socket.socket],
    names: Sequence[str],
    *,
    key: str,
    allow_hosts: Sequence[str] = (),
    place: Place = ALONE,
    ready: Callable[[], Any],
    stop: asyncio.Event | None,
) -> None:
    """Serve on bound sockets, which have `names`: one for both planes, or the agents' and the operator's.

    `place`: which of how many workers this process is.
    """
    hosts = [*place.hosts(allow_hosts), *(name for name in names if not is_wildcard(name))]
    planes: list[tuple[Collection[str], str | None]] = [(BOTH, None)]
    if len(sockets) > 1:
        planes = [({"agent"}, None), ({"operator"}, origin(sockets[0], names[0]))]
    apps = [
        App(services, key=key, planes=answered, base_url=base, hosts=hosts, place=place)
        for answered, base in planes
    ]
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(app.running())
        await run_apps(apps, list(sockets), stop, ready)


def places_of(host: str, port: int, operator_host: str | None, operator_port: int | None) -> list[tuple[str, int]]:
    """Where to listen, one place or two; `UsageError` where agents could not be told of theirs."""
    if operator_port is None:
        return [(host, port)]
    if is_wildcard(host):
        raise UsageError("--operator-http needs --http to name one address: episodes get URLs from it")
    return [(host, port), (operator_host or host, operator_port)]


def operator_key(stack: AsyncExitStack, file: Path | None, port: int) -> tuple[str, Path | None]:
    """The operator key and its file. One that was made for this run alone goes with it."""
    default = default_key_file(port)
    made = file is None and not default.exists()
    key, used = server_key(file or default)
    if made and used is not None:
        stack.callback(used.unlink, missing_ok=True)
    return key, used


def endpoints(
    environments: Sequence[str], sockets: Sequence[socket.socket], names: Sequence[str], workers: int = 1
) -> dict[str, Endpoint]:
    """Where environments are served by a row of workers, whose first one has these sockets."""
    agent, operator = origin(sockets[0], names[0]), origin(sockets[-1], names[-1])
    operators = Place(0, workers).origins(operator)
    found: dict[str, Endpoint] = {}
    for environment in environments:
        name = quote(environment, safe="")
        found[environment] = Endpoint(
            f"{operator}/{name}/operator/mcp",
            f"{agent}/{name}/episodes/{{handle}}/mcp",
            tuple(f"{o}/{name}/operator/mcp" for o in operators),
        )
    return found


async def run_apps(
    apps: Sequence[GatedApp], sockets: list[socket.socket], stop: asyncio.Event | None, ready: Callable[[], Any]
) -> None:
    """Answer for each app on its socket until `stop` is set, or SIGINT or SIGTERM where none is given."""
    servers = [_Server(_config(app)) for app in apps]
    tasks = [asyncio.create_task(server.serve(sockets=[s])) for server, s in zip(servers, sockets, strict=True)]
    stopping = stop or stop_on_signals()
    waiter = asyncio.create_task(stopping.wait())
    try:
        for server in servers:
            await server.up.wait()
        told = ready()
        if told is not None:
            await told
        await asyncio.wait([waiter, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks)


@asynccontextmanager
async def listening(app: GatedApp) -> AsyncIterator[str]:
    """Serve an ASGI application on a free port of loopback meanwhile; its origin."""
    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        server = _Server(_config(app))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await server.up.wait()
            yield origin(listener, "127.0.0.1")
        finally:
            server.should_exit = server.force_exit = True
            await asyncio.gather(task)


def _config(app: GatedApp) -> uvicorn.Config:
    # No access log: its lines would hold handles. h11, though httptools takes 0.1 ms less a request: it bounds
    # the size of a request's head.
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        loop="none",
        interface="asgi3",
        access_log=False,
        log_config=None,
        log_level="error",  # a warning for each malformed request would let a client fill the disk
        server_header=False,
        headers=[("Keep-Alive", f"timeout={KEEP_ALIVE}")],
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
        backlog=BACKLOG,
    )


def stop_on_signals() -> asyncio.Event:
    """Set by SIGINT and SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def serve_stdio(
    service: Service, *, operator: bool = False, task_id: str | None = None, seed: int | None = None
) -> None:
    """Serve one client over stdin and stdout until it leaves.

    The agent plane of one new episode by default, which is safe to put into an agent's configuration; the whole
    operator plane with `operator`. `task_id` defaults to the environment's first task.
    """
    async with service.running():
        if operator:
            server = operator_server(service)
        else:
            episode = await service.store.open(*_chosen(service, task_id, seed), ttl=None)
            server = agent_server(service, lambda ctx: episode)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())


def _chosen(service: Service, task_id: str | None, seed: int | None) -> tuple[Any, int]:
    if task_id is None:
        task = next(iter(service.tasks().values()), None)
        if task is None:
            raise UsageError(f"environment {service.name} has no tasks: give some with --input FILE.jsonl")
    else:
        task = service.task(task_id)
    return task, episode_seed(0, task.id, 0) if seed is None else seed


def services_of(
    classes: Sequence[type[Environment[Any]]], *, tasks: Path | None = None, record: Path | None = None
) -> list[Service]:
    """One service for each environment class."""
    return [Service(cls, tasks=tasks, record=record) for cls in classes]
