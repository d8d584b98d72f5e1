"""The ASGI application: which plane of which environment a request reaches, and whether it may.

    /{env}/episodes/{handle}/mcp   agent plane; the handle is the credential
    /{env}/mcp                     agent plane; `Authorization: Bearer {handle}`
    /{env}/operator/mcp            operator plane; `Authorization: Bearer {operator key}`
    /healthz                       200 `ok`

Whoever lacks the credential gets the 404 of a path that does not exist: a 401 would send MCP clients into OAuth.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request as HTTPRequest
from starlette.types import Receive, Scope, Send

from gym_mcp.episode import Episode
from gym_mcp.errors import EpisodeGone, UsageError
from gym_mcp.server import gate
from gym_mcp.server.agent import agent_server
from gym_mcp.server.crowd import Crowd
from gym_mcp.server.gate import Headers, HostCheck, Refused
from gym_mcp.server.operator import Request, operator_server
from gym_mcp.server.row import ALONE, Place
from gym_mcp.server.service import Service

BOTH: Final = frozenset({"agent", "operator"})
_EPISODE: Final = "gym_mcp.episode"
_ORIGIN: Final = "gym_mcp.origin"
_BEARER: Final = b"bearer "
_EVENTS: Final = re.compile(rb"text/event-stream(?!\s*;\s*q=0)")


class GatedApp:
    """What every listener of ours does before MCP sees a request. `hosts` are names allowed besides loopback."""

    def __init__(self, hosts: Sequence[str] = ()) -> None:
        self._check_host = HostCheck(hosts)

    def running(self) -> AbstractAsyncContextManager[None]:
        """Serve meanwhile."""
        raise NotImplementedError

    def admit(self, scope: Scope, headers: Headers) -> StreamableHTTPSessionManager:
        """The session manager that answers; `Refused` for whatever does not exist or is not allowed."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        try:
            headers = gate.clean(scope)
            self._check_host(headers)
            manager = self.admit(scope, headers)
            await self.answer(manager, headers, scope, receive, send)
        except Refused as refused:
            await gate.refuse(refused, send)

    async def answer(
        self, manager: StreamableHTTPSessionManager, headers: Headers, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Read an admitted request and have `manager` answer it; `Refused` for one that is none."""
        if scope["method"] != "POST":
            raise Refused(405, "Method Not Allowed", [(b"allow", b"POST")])
        limit = gate.MAX_OPERATOR_BODY if _ORIGIN in scope else gate.MAX_BODY
        body = await gate.read_body(headers, receive, limit)
        gate.check_json(body)
        await manager.handle_request(scope, gate.replay(body, receive), send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self.running():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


class App(GatedApp):
    """The environments of one listener.

    `planes` says which planes it answers for; `base_url` is where agents reach the agent plane, by default the
    origin at which the operator reached this listener. `hosts` are names allowed in Host and Origin besides
    loopback. `place`: which of how many workers this is.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        key: str,
        planes: Collection[str] = BOTH,
        base_url: str | None = None,
        hosts: Sequence[str] = (),
        place: Place = ALONE,
    ) -> None:
        super().__init__(hosts)
        self._routes = {quote(s.name, safe=""): Planes(s, base_url, place) for s in services}
        if len(self._routes) != len(services):
            raise UsageError("two of the environments have the same name")
        self._key = key.encode()
        self._planes = frozenset(planes)
        self._crowd = Crowd()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve meanwhile; at the end calls in flight are cancelled and all episodes closed."""
        async with AsyncExitStack() as stack:
            for planes in self._routes.values():
                await stack.enter_async_context(planes.service.running())
                for manager in planes.managers:
                    await stack.enter_async_context(manager.run())
            yield

    def admit(self, scope: Scope, headers: Headers) -> StreamableHTTPSessionManager:
        """The session manager that answers; the same refusal for whatever does not exist or is not allowed.

        The path is compared as it was sent: nothing is decoded or normalised, so there is nothing to trick.
        """
        path = scope["raw_path"].decode("latin-1")
        if path == "/healthz":
            raise Refused(200, "ok")
        name, _, rest = path[1:].partition("/")
        planes = self._routes.get(name)
        if planes is None or not path.startswith("/"):
            raise gate.not_found()
        if rest == "operator/mcp":
            if "operator" in self._planes and hmac.compare_digest(_bearer(headers), self._key):
                scope[_ORIGIN] = f"{scope.get('scheme', 'http')}://{headers[b'host'].decode('latin-1')}"
                return planes.operator
            raise gate.not_found()
        if "agent" not in self._planes:
            raise gate.not_found()
        if rest == "mcp":
            handle = _bearer(headers).decode("latin-1")
        else:
            handle = rest.removeprefix("episodes/").removesuffix("/mcp")
            if rest != f"episodes/{handle}/mcp":
                raise gate.not_found()
        try:
            scope[_EPISODE] = planes.service.store.get(handle)
        except EpisodeGone:
            raise gate.not_found() from None
        return planes.agent.answering(headers)

    async def answer(
        self, manager: StreamableHTTPSessionManager, headers: Headers, scope: Scope, receive: Receive, send: Send
    ) -> None:
        episode: Episode | None = scope.get(_EPISODE)
        if episode is None:
            return await super().answer(manager, headers, scope, receive, send)
        self._crowd.enter(episode.handle)
        try:
            await super().answer(manager, headers, scope, receive, send)
        finally:
            self._crowd.leave(episode.handle)


class AgentManagers:
    """An agent plane as the SDK's session managers; nothing is kept per session.

    The first may answer as an event stream, so that a client that leaves cancels its call and a slow call sends
    keep-alives. That costs twice the CPU of the second, which serves clients that accept JSON alone or prefer it
    (`text/event-stream;q=0.5`).
    """

    def __init__(self, server: Server[Any]) -> None:
        self.streaming = StreamableHTTPSessionManager(server, stateless=True, json_response=False)
        self.plain = StreamableHTTPSessionManager(server, stateless=True, json_response=True)

    def answering(self, headers: Headers) -> StreamableHTTPSessionManager:
        """The streaming one for 2026 clients that would as soon have an event stream; else plain JSON."""
        modern = headers.get(b"mcp-protocol-version", b"") >= b"2026"
        return self.streaming if modern and _EVENTS.search(headers.get(b"accept", b"")) else self.plain


class Planes:
    """Both planes of one environment."""

    def __init__(self, service: Service, base_url: str | None, place: Place) -> None:
        self.service = service
        self._name = quote(service.name, safe="")
        self._base_url = base_url
        self._place = place
        self.agent = AgentManagers(agent_server(service, _episode_of))
        operator = operator_server(service, self._request_of)
        self.operator = StreamableHTTPSessionManager(
            operator, stateless=True, json_response=True, max_request_body_size=gate.MAX_OPERATOR_BODY
        )
        self.managers = (self.agent.streaming, self.agent.plain, self.operator)

    def _request_of(self, ctx: Any) -> Request:
        return _Request(self, ctx.request)

    def agent_url(self, origin: str, handle: str) -> str:
        return f"{self._base_url or origin}/{self._name}/episodes/{handle}/mcp"

    def workers(self, origin: str) -> list[str]:
        return [f"{other}/{self._name}/operator/mcp" for other in self._place.origins(origin)]


class _Request(Request):
    """A request that came over HTTP."""

    def __init__(self, planes: Planes, request: HTTPRequest) -> None:
        self._planes = planes
        self._request = request

    def agent_url(self, handle: str) -> str:
        return self._planes.agent_url(self._request.scope[_ORIGIN], handle)

    def workers(self) -> list[str]:
        return self._planes.workers(self._request.scope[_ORIGIN])

    async def wanted(self) -> bool:
        return not await self._request.is_disconnected()


def _episode_of(ctx: Any) -> Episode:
    episode: Episode = ctx.request.scope[_EPISODE]
    return episode


def _bearer(headers: Headers) -> bytes:
    value = headers.get(b"authorization", b"")
    return value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else b""


def create_app(services: Sequence[Service], *, key: str | None = None, **options: Any) -> App:
    """An ASGI application that serves both planes of `services`; a random operator key unless one is given."""
    return App(services, key=key or secrets.token_urlsafe(32), **options)
