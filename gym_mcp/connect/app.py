"""The listener for people's own agents: `/{env}/seats/{handle}/mcp`, and nothing of the operator's.

Whatever else is asked for gets the 404 of a path that does not exist.
"""

from __future__ import annotations

import contextlib
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import quote

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Receive, Scope, Send

from gym_mcp.connect.plane import seat_server, seated
from gym_mcp.connect.seat import Seat
from gym_mcp.errors import GymError
from gym_mcp.server import gate
from gym_mcp.server.app import AgentManagers, GatedApp
from gym_mcp.server.gate import Headers, Refused
from gym_mcp.server.service import Service


class SeatApp(GatedApp):
    """The seats of one environment. `revive(handle)` may take up a seat that an earlier server had."""

    def __init__(self, service: Service, revive: Callable[[str], Awaitable[None]] | None = None) -> None:
        super().__init__()
        self.service = service
        self._revive = revive
        self.seats: dict[str, Seat] = {}
        self.last_request = time.monotonic()
        self._managers = AgentManagers(seat_server(service))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve meanwhile."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.service.running())
            for manager in (self._managers.streaming, self._managers.plain):
                await stack.enter_async_context(manager.run())
            yield

    def path_of(self, seat: Seat) -> str:
        """The path of a seat's plane. Whoever knows it can act as the seat's agent."""
        return f"{self._prefix}{seat.handle}/mcp"

    @property
    def _prefix(self) -> str:
        return f"/{quote(self.service.name, safe='')}/seats/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._revive is not None:
            handle = self._handle(scope)
            if handle and handle not in self.seats:
                with contextlib.suppress(GymError):  # then it is a 404
                    await self._revive(handle)
        await super().__call__(scope, receive, send)

    def _handle(self, scope: Scope) -> str:
        path: str = scope["raw_path"].decode("latin-1")
        return path.removeprefix(self._prefix).removesuffix("/mcp")

    def admit(self, scope: Scope, headers: Headers) -> StreamableHTTPSessionManager:
        path = scope["raw_path"].decode("latin-1")
        if path == "/healthz":
            raise Refused(200, "ok")
        seat = _find(self.seats.values(), self._handle(scope))
        if seat is None or path != self.path_of(seat) or seat.turn is None:
            raise gate.not_found()
        self.last_request = time.monotonic()
        seated.set(seat)
        return self._managers.answering(headers)


def _find(seats: Iterable[Seat], handle: str) -> Seat | None:
    given = handle.encode("latin-1")
    return next((s for s in seats if hmac.compare_digest(s.handle.encode(), given)), None)
