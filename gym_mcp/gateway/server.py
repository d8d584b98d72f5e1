"""The listener on loopback: finds the session of a path, and speaks its agent's dialect."""

from __future__ import annotations

import asyncio
import hashlib
import os
import traceback
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import orjson
from aiohttp import web
from aiohttp.web_exceptions import HTTPRequestEntityTooLarge

from gym_mcp.errors import HarnessError, UsageError
from gym_mcp.gateway.ask import Ask, Kind, Refused
from gym_mcp.gateway.dialects import STATUS, Dialect, Route, route
from gym_mcp.gateway.log import CallLog
from gym_mcp.gateway.session import FINAL_TEXT, GatewaySession
from gym_mcp.models.base import Model
from gym_mcp.types import JSONObject

MAX_BODY: Final = 64 * 2**20
"""Bytes of a request."""
KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a stream says that it lives."""
_BACKLOG: Final = 1_024
_NO_RETRY: Final = {"x-should-retry": "false"}
"""The official OpenAI and Anthropic clients heed it."""
_STREAM: Final = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}


class Gateway:
    """One listener for all rollouts of a process. `keep_alive` is in seconds."""

    def __init__(self, *, port: int = 0, keep_alive: float = KEEP_ALIVE) -> None:
        self._port = port
        self._keep_alive = keep_alive
        self._sessions: dict[bytes, GatewaySession | None] = {}
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on 127.0.0.1. A second call does nothing."""
        if self._runner is not None:
            return
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=2.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port, backlog=_BACKLOG).start()
        except OSError as e:
            await runner.cleanup()
            why = os.strerror(e.errno) if e.errno else str(e)  # asyncio puts the address into it once more
            raise UsageError(f"cannot listen on 127.0.0.1:{self._port}: {why}") from None
        self._port = runner.addresses[0][1]
        self._runner = runner

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """(host, port) of each listener; empty before the start."""
        return [] if self._runner is None else [(host, port) for host, port in self._runner.addresses]

    async def aclose(self) -> None:
        """End all sessions and stop listening."""
        sessions = [session for session in self._sessions.values() if session is not None]
        await asyncio.gather(*(session.aclose() for session in sessions))
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def open(
        self,
        model: Model,
        *,
        final_text: str = FINAL_TEXT,
        keep_going: bool = False,
        key: str | None = None,
        log: CallLog | None = None,
    ) -> GatewaySession:
        """A session in front of `model`, which is a rollout's meter as a rule: its `LimitReached` ends the agent
        with `final_text`. `keep_going`: a failure of the model does not settle all further requests."""
        if self._runner is None:
            raise RuntimeError("the gateway is not started")
        origin = f"http://127.0.0.1:{self._port}"
        session = GatewaySession(
            origin, model, final_text=final_text, keep_going=keep_going, key=key, log=log, forget=self._forget
        )
        self._sessions[_place(session.secret)] = session
        return session

    def _forget(self, session: GatewaySession) -> None:
        self._sessions[_place(session.secret)] = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        secret, slash, rest = request.path.removeprefix("/").partition("/")
        # Looked up by hash: how long that takes says nothing about the secret.
        place = _place(secret)
        if place not in self._sessions:
            return web.Response(status=HTTPStatus.NOT_FOUND, text="not found\n")
        if request.method == "HEAD":
            return web.Response()
        found = route(request.method, f"{slash}{rest}".rstrip("/"))
        if found is None:
            return web.Response(status=HTTPStatus.NOT_FOUND, text="not found\n")
        session = self._sessions[place]
        try:
            return await self._serve(request, found, session)
        except Refused as refused:
            return _refusal(found.dialect, refused.kind, str(refused))
        except (ConnectionError, web.HTTPException):
            raise
        except Exception:
            # A bug of ours is neither the agent's nor the model's failure, and must not pass for an end.
            if session is not None:
                session.error = HarnessError("the gateway failed", detail=traceback.format_exc())
            return _refusal(found.dialect, "model", "internal error of the gateway")

    async def _serve(
        self, request: web.Request, found: Route, session: GatewaySession | None
    ) -> web.StreamResponse:
        if session is None:
            raise Refused("over", "this session is over")
        if not session.admits(_key(request)):
            raise Refused("unauthorized", "invalid API key")
        if found.action == "models":
            return _json(models(session.model_name, request))
        ask = await _read(request, found)
        if found.action == "count":
            return _json(found.dialect.count(ask))
        if ask.stream:
            return await self._stream(request, found.dialect, session, ask)
        response, record = await session.respond(ask, found.dialect.name)
        answer = _json(found.dialect.answer(response, ask))
        return await self._send(request, answer, lambda: session.unread(ask, response, record))

    async def _send(
        self, request: web.Request, answer: web.Response, lost: Callable[[], None]
    ) -> web.StreamResponse:
        """Send a whole answer, and tell when the client did not stay for it."""
        try:
            await answer.prepare(request)
            await answer.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            lost()
            raise
        return answer

    async def _stream(
        self, request: web.Request, dialect: Dialect, session: GatewaySession, ask: Ask
    ) -> web.StreamResponse:
        answering = asyncio.ensure_future(session.respond(ask, dialect.name))
        stream = web.StreamResponse(headers=_STREAM)
        try:
            await self._wait(request, answering, stream, dialect.keep_alive)
            response, record = await answering
        except Refused as refused:
            if not stream.prepared:
                raise
            # The status is sent already, so the stream itself has to say it.
            await stream.write(b"".join(dialect.error_events(refused.kind, str(refused))))
            return stream
        finally:
            answering.cancel()
        try:
            if not stream.prepared:
                await stream.prepare(request)
            await stream.write(b"".join(dialect.events(response, ask)))
            await stream.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            session.unread(ask, response, record)
            raise
        return stream

    async def _wait(
        self, request: web.Request, answering: Awaitable[object], stream: web.StreamResponse, sign: bytes
    ) -> None:
        """Wait for the model; a stream that is silent for long begins, and gives signs of life."""
        waiting = asyncio.ensure_future(answering)
        while not (await asyncio.wait([waiting], timeout=self._keep_alive if sign else None))[0]:
            if not stream.prepared:
                await stream.prepare(request)
            await stream.write(sign)


def _place(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _key(request: web.Request) -> str:
    """The API key, wherever this client puts it."""
    headers = request.headers
    for name in ("x-api-key", "x-goog-api-key", "api-key"):
        if name in headers:
            return headers[name]
    kind, _, key = headers.get("Authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else request.query.get("key", "")


async def _read(request: web.Request, found: Route) -> Ask:
    try:
        body = orjson.loads(await request.read())
    except HTTPRequestEntityTooLarge:
        raise Refused("too_large", f"a request is at most {MAX_BODY} bytes") from None
    except orjson.JSONDecodeError as e:
        raise Refused("bad_request", f"the body is not JSON: {e}") from None
    if not isinstance(body, dict):
        raise Refused("bad_request", "the body is not a JSON object")
    try:
        ask = found.dialect.read(body)
    except (orjson.JSONEncodeError, RecursionError):
        raise Refused("bad_request", "the body is nested too deep") from None
    if found.stream is not None:
        ask.stream = found.stream
    ask.model = found.model or ask.model
    return ask


def _json(value: JSONObject) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


def _refusal(dialect: Dialect, kind: Kind, message: str) -> web.Response:
    return web.Response(
        status=STATUS.get(kind, 400),
        body=orjson.dumps(dialect.error(kind, message)),
        content_type="application/json",
        headers=_NO_RETRY,
    )


def models(name: str, request: web.Request) -> JSONObject:
    """The one model that there is, in the form of the client's API; any name is taken in requests."""
    if "anthropic-version" in request.headers:
        entry: JSONObject = {"type": "model", "id": name, "display_name": name, "lifecycle": "active"}
        entry["created_at"] = "1970-01-01T00:00:00Z"  # what the API says where it does not know
        whole: JSONObject = {"data": [entry], "has_more": False, "first_id": name, "last_id": name}
    else:
        entry = {"id": name, "object": "model", "created": 1_735_689_600, "owned_by": "gym-mcp"}
        whole = {"object": "list", "data": [entry]}
    return whole if request.path.rstrip("/").endswith("/models") else entry
