"""Serve environments: over HTTP until told to stop, or over stdio until the client leaves."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
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
from gym_mcp.server.operator import operator_server
from gym_mcp.server.service import Service

KEEP_ALIVE: Final = 120
"""Seconds that an idle connection stays open: a model may think that long between two calls."""
_GRACE: Final = 5
"""Seconds that requests in flight have to finish at shutdown."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one environment is served. The agent plane's URL needs a handle in place of `{handle}`."""

    operator_url: str
    agent_url: str


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
    places = [(host, port)]
    if operator_port is not None:
        places.append((operator_host or host, operator_port))
    async with AsyncExitStack() as stack:
        sockets = [stack.enter_context(contextlib.closing(listen(*place))) for place in places]
        addresses = [origin(s, h) for s, (h, _) in zip(sockets, places, strict=True)]
        key, file_used = _key(stack, key_file, sockets[-1].getsockname()[1])
        hosts = [*allow_hosts, *(h for h, _ in places if not _is_wildcard(h))]
        apps = _apps(services, key, addresses, hosts, host)
        for app in apps:
            await stack.enter_async_context(app.running())
        serving = Serving(_endpoints(services, addresses), file_used)
        await run_apps(apps, sockets, stop, lambda: ready(serving) if ready else None)


def _key(stack: AsyncExitStack, file: Path | None, port: int) -> tuple[str, Path | None]:
    """The operator key and its file. One that was made for this run alone goes with it."""
    default = default_key_file(port)
    made = file is None and not default.exists()
    key, used = server_key(file or default)
    if made and used is not None:
        stack.callback(used.unlink, missing_ok=True)
    return key, used


def _apps(services: Sequence[Service], key: str, addresses: list[str], hosts: list[str], host: str) -> list[App]:
    if len(addresses) == 1:
        return [App(services, key=key, planes=BOTH, hosts=hosts)]
    if _is_wildcard(host):
        raise UsageError("--operator-http needs --http to name one address: episodes get URLs from it")
    return [
        App(services, key=key, planes={"agent"}, hosts=hosts),
        App(services, key=key, planes={"operator"}, base_url=addresses[0], hosts=hosts),
    ]


def _endpoints(services: Sequence[Service], addresses: list[str]) -> dict[str, Endpoint]:
    agent, operator = addresses[0], addresses[-1]
    found: dict[str, Endpoint] = {}
    for service in services:
        name = quote(service.name, safe="")
        found[service.name] = Endpoint(
            f"{operator}/{name}/operator/mcp", f"{agent}/{name}/episodes/{{handle}}/mcp"
        )
    return found


async def run_apps(
    apps: Sequence[GatedApp], sockets: list[socket.socket], stop: asyncio.Event | None, ready: Callable[[], Any]
) -> None:
    """Answer for each app on its socket until `stop` is set, or SIGINT or SIGTERM where none is given."""
    servers = [_Server(_config(app)) for app in apps]
    tasks = [asyncio.create_task(server.serve(sockets=[s])) for server, s in zip(servers, sockets, strict=True)]
    stopping = stop or _on_signals()
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
        backlog=4_096,
    )


def _on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; `UsageError` when the place is taken. Port 0 takes a free one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(
            family, kind, protocol
        )  # asyncio sets TCP_NODELAY only where it sees the protocol
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as e:
        raise UsageError(f"cannot listen on {host}:{port}: {e.strerror}") from None
    listener.setblocking(False)
    return listener


def origin(listener: socket.socket, host: str) -> str:
    """The origin at which a listener is reached from this machine."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{'127.0.0.1' if _is_wildcard(host) else shown}:{listener.getsockname()[1]}"


def _is_wildcard(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_unspecified
    return host == ""


async def serve_stdio(
    service: Service, *, operator: bool = False, task_id: str | None = None, seed: int | None = None
) -> None:
    """Serve one client over stdin and stdout until it leaves.

    The agent plane of one new episode by default, which is safe to put into an agent's configuration; the whole
    operator plane with `operator`. `task_id` defaults to the environment's first task.
    """
    async with service.running():
        if operator:
            server = operator_server(service, lambda ctx, handle: None)
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
