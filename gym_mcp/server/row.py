"""Workers in a row: worker i of a server listens i ports above the first, under every name of the machine.

So whoever came in through another host name, or through a range of forwarded ports, finds the others by counting.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gym_mcp.errors import UsageError
from gym_mcp.server.listener import listen

_AUTHORITY: Final = re.compile(r"(.*?)(?::(\d{1,5}))?", re.DOTALL)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
BACKLOG: Final = 4_096
_TRIES: Final = 50
_MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Place:
    """Which of how many workers a process is."""

    worker: int = 0
    workers: int = 1

    def origins(self, own: str) -> list[str]:
        """The origins of all workers, where `own` is this one's as a client named it; only its own if they do
        not fit."""
        if self.workers == 1:
            return [own]
        scheme, _, authority = own.partition("://")
        host, port = split_port(authority)
        first = (port or _DEFAULT_PORTS[scheme]) - self.worker
        if not 0 < first <= _MAX_PORT - self.workers + 1:
            return [own]
        return [f"{scheme}://{host}:{first + i}" for i in range(self.workers)]

    def share(self, total: int) -> int:
        """This worker's part of something that the workers have together."""
        return total // self.workers + (self.worker < total % self.workers)

    def hosts(self, allowed: Sequence[str]) -> list[str]:
        """Names to allow on this worker's port: one that was given with a port has it counted up."""
        found = list(allowed)
        for name in allowed:
            host, port = split_port(name)
            if port is not None and not host.endswith(":"):
                found.append(f"{host}:{port + self.worker}")
        return found


ALONE: Final = Place()


def split_port(authority: str) -> tuple[str, int | None]:
    """Host and port of `HOST[:PORT]`; an IPv6 address stands in brackets."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None or match[2] is None or (":" in match[1] and not match[1].endswith("]")):
        return authority, None
    return match[1], int(match[2])


def listen_in_row(host: str, port: int, count: int) -> list[socket.socket]:
    """`count` bound sockets on consecutive ports from `port`; port 0 takes free ones that follow each other.

    Raises `UsageError` when one is taken.
    """
    if port:
        if port + count - 1 > _MAX_PORT:
            raise UsageError(f"--workers {count}: there are not so many ports from {port}")
        return _bound(host, port, count)
    for _ in range(_TRIES):
        with contextlib.closing(listen(host, 0)) as free:
            first: int = free.getsockname()[1]
        with contextlib.suppress(UsageError):
            if first + count - 1 <= _MAX_PORT:
                return _bound(host, first, count)
    raise UsageError(f"--workers {count}: no {count} free ports follow each other; name the first with --http")


def _bound(host: str, port: int, count: int) -> list[socket.socket]:
    with contextlib.ExitStack() as stack:
        found: list[socket.socket] = []
        for i in range(count):
            try:
                found.append(stack.enter_context(contextlib.closing(listen(host, port + i))))
            except UsageError as e:
                raise UsageError(f"{e} (worker {i} of {count} listens there)" if count > 1 else str(e)) from None
            if count > 1:  # two servers can bind a port, only one can listen there
                try:
                    found[-1].listen(BACKLOG)
                except OSError as e:
                    raise UsageError(f"cannot listen on {host}:{port + i}: {e.strerror}") from None
        stack.pop_all()
        return found
