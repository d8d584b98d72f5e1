"""Carries connections from inside an agent's network namespace to the same port of the machine's loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterable


def forward(listeners: Iterable[socket.socket]) -> None:
    """Serve `listeners`, which belong to the other namespace, in threads that end with this process."""
    for listener in listeners:
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()


def _accept(listener: socket.socket) -> None:
    address = listener.getsockname()
    while True:
        try:
            inside, _ = listener.accept()
        except OSError:
            return
        try:
            outside = socket.create_connection(address, timeout=10)
        except OSError:
            inside.close()
            continue
        outside.settimeout(None)
        for end in (inside, outside):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_carry, args=(inside, outside), daemon=True).start()
        threading.Thread(target=_carry, args=(outside, inside), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
    except OSError:
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
