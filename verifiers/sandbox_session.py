"""A Python interpreter in a sandbox that lives on between calls: state is kept, each call is limited."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from verifiers.sandbox import Job, Limits
from verifiers.sandbox_local import Collector, LocalProvider, Process, within_scope

End: TypeAlias = Literal["timeout", "output", "died"]
_CHUNK: Final = 65_536


@dataclass(frozen=True, slots=True)
class CellResult:
    """What a cell wrote, the repr of its last expression, and how it ended the session, if it did."""

    stdout: str
    stderr: str
    result: str | None
    ended: End | None = None


class PythonSession:
    """One interpreter; calls of several threads come one after the other. `close` it.

    `limits.seconds` is for the session as a whole, `limits.output` for each cell.
    """

    def __init__(
        self, limits: Limits, packages: tuple[str, ...] = (), provider: LocalProvider | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        cells_r, self._cells = os.pipe()
        self._done, done_w = os.pipe()
        for fd in (self._cells, self._done):
            self._stack.callback(os.close, fd)
        job = Job(_guest(), limits=limits, packages=packages, channels=[cells_r, done_w], name="session.py")
        try:
            self._process: Process = self._stack.enter_context((provider or LocalProvider()).start(job))
        except BaseException:
            self._stack.close()
            raise
        finally:
            os.close(cells_r)
            os.close(done_w)
        self._selector = self._stack.enter_context(selectors.DefaultSelector())
        self._collector = Collector(self._process, self._selector)
        self._replies = bytearray()
        self._collector.watch(self._done, self._replies)
        os.set_blocking(self._cells, False)
        self.alive = True

    def run(self, code: str, seconds: float) -> CellResult:
        """Run a cell. The session is over when it took longer, wrote too much, or ended the interpreter."""
        with self._lock, within_scope(self._process):
            return self._run(code, seconds)

    def _run(self, code: str, seconds: float) -> CellResult:
        if not self.alive:
            return CellResult("", "", None, "died")
        cell = secrets.token_hex(8)
        line = json.dumps({"id": cell, "code": code}).encode() + b"\n"
        deadline = time.monotonic() + seconds
        reply: dict[str, Any] | None = None
        if self._send(line, deadline):
            reply = self._await(cell, deadline)
        ended: End | None = None
        if reply is None:
            self.alive = False
            late = time.monotonic() >= deadline
            ended = "output" if self._collector.truncated else "timeout" if late else "died"
            self._process.end()
            self._collector.collect(time.monotonic() + 1.0)
            self._collector.check()
        self._collector.step(0)
        out, err = (bytes(s).decode("utf-8", "replace") for s in (self._collector.stdout, self._collector.stderr))
        self._collector.stdout.clear()
        self._collector.stderr.clear()
        result = reply.get("result") if reply else None
        return CellResult(out, err, result if isinstance(result, str) else None, ended)

    def _send(self, line: bytes, deadline: float) -> bool:
        """Write a line while reading what comes; a cell may be larger than a pipe."""
        view = memoryview(line)
        while view:
            if time.monotonic() > deadline or not self._collector.watches(self._done):
                return False
            try:
                view = view[os.write(self._cells, view[:_CHUNK]) :]
            except BlockingIOError:
                self._collector.step(0.01)
            except BrokenPipeError:
                return False
        return True

    def _await(self, cell: str, deadline: float) -> dict[str, Any] | None:
        while True:
            while (end := self._replies.find(b"\n")) >= 0:
                line = bytes(self._replies[:end])
                del self._replies[: end + 1]
                with contextlib.suppress(ValueError):
                    reply = json.loads(line)
                    if isinstance(reply, dict) and reply.get("id") == cell:
                        return reply
            left = deadline - time.monotonic()
            if left <= 0 or not self._collector.watches(self._done) or self._collector.truncated:
                return None
            self._collector.step(left)

    def close(self) -> None:
        """End the interpreter and everything it started."""
        self.alive = False
        self._process.end()
        with self._lock:  # a cell that still runs has lost its process, and returns
            self._stack.close()


@cache
def _guest() -> str:
    return Path(__file__).with_name("session_guest.py").read_text(encoding="utf-8")
