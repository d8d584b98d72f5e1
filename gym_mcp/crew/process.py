"""One worker process: started with a socket as its only tie, and dead when the run that started it is."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import gym_mcp
from gym_mcp.crew.channel import Channel

_BOOT: Final = (
    "import sys, importlib; sys.path.insert(0, sys.argv[1]); "
    "importlib.import_module(sys.argv[2]).main(*sys.argv[3:])"
)
_PR_SET_PDEATHSIG: Final = 1
ENDING: Final = 20.0
"""Seconds that a process has to close its episodes after it was told to end."""


class WorkerProcess:
    """A process of this one's group, which runs `main(descriptor, parent)` of a module.

    It inherits the descriptors `kept`. A run's worker has the run's lock among them: while it lives, nobody else
    takes the run up.
    """

    def __init__(self, module: str, kept: Sequence[int]) -> None:
        ours, theirs = socket.socketpair()
        where = str(Path(gym_mcp.__file__).resolve().parent.parent)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT, where, module, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=2,  # stdout is for the result of the run
                pass_fds=(theirs.fileno(), *kept),
            )
        finally:
            theirs.close()
        self._socket = ours

    @property
    def pid(self) -> int:
        return self._process.pid

    async def connect(self) -> Channel:
        return await Channel.over(self._socket)

    def kill(self) -> None:
        self._process.kill()

    async def ended(self) -> int:
        """Its exit status, negative for a signal; killed if it does not end within some seconds."""
        try:
            return await asyncio.to_thread(self._process.wait, ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return await asyncio.to_thread(self._process.wait, ENDING)


def how_it_ended(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"


def live_and_die_with(parent: int) -> None:
    """Called in the worker: the kernel kills it when its parent goes, and signals are the parent's business."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before that
        os._exit(1)
    # Handlers, because what is ignored would be ignored by the processes of environments, too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
