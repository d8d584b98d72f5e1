"""Sockets to listen on."""

from __future__ import annotations

import contextlib
import ipaddress
import socket

from gym_mcp.errors import UsageError


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; `UsageError` when the place is taken. Port 0 takes a free one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # asyncio sets TCP_NODELAY only where it sees the protocol.
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as e:
        raise UsageError(f"cannot listen on {host}:{port}: {e.strerror}") from None
    listener.setblocking(False)
    return listener


def origin(listener: socket.socket, host: str) -> str:
    """The origin at which a listener is reached from this machine."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{'127.0.0.1' if is_wildcard(host) else shown}:{listener.getsockname()[1]}"


def is_wildcard(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_unspecified
    return host == ""
