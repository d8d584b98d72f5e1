"""The connection to a Ray cluster. A mistake is one line; Ray itself says nothing, reports nowhere."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import socket
import sys
import threading
import warnings
from pathlib import Path
from typing import Any, Final, TextIO, cast

from gym_mcp.errors import UsageError, one_line

AUTO, LOCAL = "auto", "local"
_CLIENT: Final = "ray://"
_REACH: Final = 5.0
_ANSWER: Final = 12.0
"""Seconds for a connection, and then for the cluster's answer. Ray itself would try for minutes."""
_CLIENT_ANSWER: Final = 45.0
"""A client server starts a process for each client before it answers."""


class _WithoutRay(io.TextIOBase):
    """A stdout that lets everything through but what Ray's threads print: stdout is for the result of the run."""

    def __init__(self, stdout: TextIO) -> None:
        self._stdout = stdout

    def write(self, text: str) -> int:
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return self._stdout.write(text)

    def flush(self) -> None:
        self._stdout.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stdout, name)


class Session:
    """A connection that `leave` ends, unless somebody else had made it."""

    def __init__(self, ray: Any, *, ours: bool) -> None:
        self.ray = ray
        self._ours = ours
        self._stdout = contextlib.ExitStack()
        if ours:
            self._stdout.enter_context(contextlib.redirect_stdout(cast(TextIO, _WithoutRay(sys.stdout))))

    def capacity(self) -> dict[str, float]:
        """What all nodes have together: `CPU`, `GPU`, `memory` in bytes, and resources of the cluster's own."""
        try:
            found: dict[str, float] = self.ray.cluster_resources()
        except Exception:  # its head restarts, perhaps: what runs goes on
            return {}
        return found

    def leave(self) -> None:
        """Let go of the cluster: what this process had there ends."""
        if self._ours:
            self._ours = False
            with contextlib.redirect_stdout(io.StringIO()):  # it says what it held back, in this thread
                self.ray.shutdown()
            self._stdout.close()


def join(address: str) -> Session:
    """Connect to the cluster at `address`; `UsageError` when that cannot be done.

    `auto`: the cluster that this machine belongs to, or that RAY_ADDRESS names; `local`: one that starts here and
    ends with the run; HOST:PORT: the address of its head; ray://HOST:PORT: its client server. A process that is
    connected already stays so.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of its next version
    if importlib.util.find_spec("ray") is None:
        raise UsageError("--ray: needs the package ray: pip install 'gym-mcp[ray]'")
    if address not in (AUTO, LOCAL):
        _reach(address)
    if address.startswith(_CLIENT) and _has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # as Ray does by itself for the other addresses
    import ray

    if ray.is_initialized():
        return Session(ray, ours=False)
    _connect(ray, address)
    return Session(ray, ours=True)


def _reach(address: str) -> None:
    """Refuse an address where nobody listens."""
    host, colon, port = address.removeprefix(_CLIENT).rpartition(":")
    if not colon or not host or not port.isdigit():
        raise UsageError(f"--ray {address}: an address is auto, local, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH).close()
    except (OSError, OverflowError) as e:
        why = getattr(e, "strerror", None) or str(e) or "no answer"
        raise UsageError(f"--ray {address}: no cluster can be reached there: {why}") from None


def _has_token() -> bool:
    """Whether Ray would find its cluster's token."""
    given = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(given) or (Path.home() / ".ray" / "auth_token").is_file()


def _connect(ray: Any, address: str) -> None:
    """`ray.init`, in bounded time."""
    failed: list[BaseException] = []

    def init() -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if address == LOCAL:
            options["include_dashboard"] = False
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(address, **options)
        except BaseException as e:
            failed.append(e)

    if address == LOCAL:  # its processes die with the thread that started them
        init()
    else:
        # A thread, because nothing else ends Ray's own attempts; it goes with the process.
        thread = threading.Thread(target=init, daemon=True, name="ray-init")
        thread.start()
        thread.join(_CLIENT_ANSWER if address.startswith(_CLIENT) else _ANSWER)
        if thread.is_alive():
            raise UsageError(f"--ray {address}: no Ray cluster answers there, or it wants another token")
    if failed:
        error = failed[0]
        if address == AUTO and isinstance(error, ConnectionError):
            raise UsageError(
                "--ray auto: no Ray cluster runs on this machine: `ray start --head`, or give --ray local"
            ) from None
        raise UsageError(f"--ray {address}: {one_line(error)}") from None
