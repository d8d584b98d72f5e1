"""Child processes that answer one JSON request at a time, stay warm between requests, and can be killed."""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

START_SECONDS: Final = 60.0
"""Seconds that a child may take to import what it needs."""
_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL", "SYSTEMROOT", "TMPDIR")


class WorkerTimeout(Exception):
    """The child did not answer in time and was killed."""


class WorkerDied(Exception):
    """The child ended without an answer."""


class WorkerPool:
    """Up to `size` children that run `script`; used by any number of threads and event loops at once.

    The script writes one line when it is ready, then answers each line that it reads with one line, both JSON
    objects. A child is started when none is idle; one that dies or overruns is replaced by the next request.
    Children get no environment variables but those that Python and locales need, and end with their parent.
    """

    def __init__(self, script: Path, size: int = 1, arguments: Sequence[str] = ()) -> None:
        self._command = (str(script), *arguments)
        self._slots = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._threads = ThreadPoolExecutor(size, thread_name_prefix=Path(self._command[-1]).stem)
        atexit.register(self.close)

    def ask(self, request: Mapping[str, Any], *, timeout: float) -> dict[str, Any]:
        """The child's answer. `timeout`: seconds from when a child takes the request.

        Raises `WorkerTimeout` or `WorkerDied`.
        """
        with self._slots:
            worker = self._take()
            answer = worker.ask(json.dumps(request).encode() + b"\n", timeout)
            with self._lock:
                self._idle.append(worker)
        return answer

    async def ask_async(self, request: Mapping[str, Any], *, timeout: float) -> dict[str, Any]:
        """`ask` without blocking the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: self.ask(request, timeout=timeout))

    def pids(self) -> list[int]:
        """Process ids of the idle children."""
        with self._lock:
            return [worker.pid for worker in self._idle]

    def close(self) -> None:
        """Kill the idle children."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()

    def _take(self) -> _Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive():
                    return worker
        return _Worker(self._command)


def pool_of(script: Path) -> WorkerPool:
    """This process's pool of children that answer by `script` (see `worker_child.py`): one a processor, up to 4.

    A forked child gets pools of its own: it must not read its parent's pipes.
    """
    return _pool(os.getpid(), script)


@functools.lru_cache(maxsize=32)
def _pool(pid: int, script: Path) -> WorkerPool:
    loop = Path(__file__).with_name("worker_child.py")
    return WorkerPool(loop, max(1, min(4, os.cpu_count() or 1)), (str(script),))


class _Worker:
    """One child. It is killed by whoever finds that it does not keep to the protocol."""

    def __init__(self, command: Sequence[str]) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-P", *command],  # -P: the script's siblings must not shadow the library (`math`)
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._exchange(b"", START_SECONDS)

    def alive(self) -> bool:
        if self._process.poll() is None:
            return True
        self.kill()
        return False

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was left to write has no reader any more
                    pass

    def ask(self, line: bytes, timeout: float) -> dict[str, Any]:
        return self._exchange(line, timeout)

    def _exchange(self, line: bytes, timeout: float) -> dict[str, Any]:
        """Write `line` and read one; the timer ends both by killing the child."""
        deadline = _Deadline(timeout, self._process)
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
            reply = self._process.stdout.readline()
        except OSError:
            reply = b""
        except BaseException:
            deadline.passed()
            self.kill()
            raise
        late = deadline.passed()
        try:
            if late or not reply.endswith(b"\n"):
                raise ValueError
            answer: dict[str, Any] = json.loads(reply)
        except ValueError:
            self.kill()
            if late:
                raise WorkerTimeout(f"no answer in {timeout:g} s") from None
            raise WorkerDied("the worker ended without an answer") from None
        return answer


class _Deadline:
    """Kills a process after `seconds`, unless `passed` was asked before."""

    def __init__(self, seconds: float, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lock = threading.Lock()
        self._over = False
        self._late = False
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        with self._lock:
            if not self._over:
                self._late = True
                self._process.kill()

    def passed(self) -> bool:
        """Whether the process was killed; it no longer will be."""
        with self._lock:
            self._over = True
        self._timer.cancel()
        return self._late
