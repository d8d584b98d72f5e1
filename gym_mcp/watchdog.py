"""Interrupts sync code whose time is up, on the thread that runs it, and never outside that code.

One patrol thread looks at all watchdogs. On the main thread it sends a signal, whose handler also wakes `sleep`,
locks and socket calls; on other threads an asynchronous exception, which only reaches Python code.
"""

from __future__ import annotations

import _weakrefset
import asyncio
import ctypes
import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, Final
from weakref import WeakSet

AGAIN: Final = 1.0
"""Seconds after which code that survived an interruption (a bare `except:`) gets the next one."""
_TICK: Final = 0.05
_SIGNAL: Final[int | None] = getattr(signal, "SIGURG", None)  # ignored by default, so a stray one is harmless


class CallTimeout(BaseException):
    """Raised inside author code that ran out of time. Not an `Exception`: broad handlers must not swallow it."""


class TimeUp(TimeoutError):
    """A call passed its time limit; an author's own `TimeoutError` is not one of these."""


_WEAK: Final = (weakref.__file__, _weakrefset.__file__)


def _deaf(frame: FrameType | None) -> bool:
    """Whether Python would print and forget what is raised here: in finalizers and in the callbacks of weak
    references and of the collector."""
    collector = [getattr(callback, "__code__", None) for callback in gc.callbacks]
    while frame is not None and frame.f_code is not Watchdog.run.__code__:
        code = frame.f_code
        if code.co_name == "__del__" or code.co_filename in _WEAK or code in collector:
            return True
        frame = frame.f_back
    return False


class Watchdog:
    """Interrupts the sync call that runs on one thread when its deadline passes.

    `on_stuck` is called, on the patrol's thread, when a call has survived two interruptions.
    """

    def __init__(self) -> None:
        self.on_stuck: Callable[[], None] | None = None
        self._deadline = 0.0  # 0: nothing is running
        self._sent = 0
        self._lock = threading.Lock()
        self._thread = threading.get_ident()
        self._main = threading.current_thread() is threading.main_thread() and _SIGNAL is not None
        if self._main and _SIGNAL is not None:
            signal.signal(_SIGNAL, self._on_signal)
        _patrol.add(self)

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Any:
        """`function(*args)` here and now; `TimeUp` when it was cut short. Only `Exception`s come out of it."""
        if self._deadline:  # author code that calls back into us is inside the outer limit
            return function(*args)
        self._deadline = time.monotonic() + timeout
        try:
            try:
                return function(*args)
            finally:
                if self._main:
                    self._deadline = 0.0
                else:
                    self._disarm()
        except CallTimeout:  # also one that came just as the call returned
            self._disarm()
            raise TimeUp from None
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as e:  # SystemExit and the like: author code must not end the run
            raise RuntimeError(repr(e)) from None

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        late = time.monotonic() - self._deadline
        if self._deadline and late >= 0 and not (late < AGAIN and _deaf(frame)):  # the next tick sends another
            self._deadline = time.monotonic() + AGAIN
            raise CallTimeout

    def _disarm(self) -> None:
        with self._lock:  # an interruption is either sent before, and taken back here, or not at all
            self._deadline = 0.0
            if self._sent:
                self._sent = 0
                _raise_in(self._thread, None)

    def check(self) -> None:
        """Interrupt the call if its time is up. Called on the patrol's thread."""
        if not self._deadline or time.monotonic() < self._deadline:
            return
        if self._main and _SIGNAL is not None:
            signal.pthread_kill(self._thread, _SIGNAL)
            return
        stuck = None
        with self._lock:
            if self._deadline and time.monotonic() >= self._deadline:
                self._deadline = time.monotonic() + AGAIN
                self._sent += 1
                if self._sent <= 2:
                    _raise_in(self._thread, CallTimeout)
                elif self._sent == 3:
                    stuck = self.on_stuck
        if stuck is not None:
            stuck()


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Raise `error` in another thread at its next bytecode; None takes back one that has not been raised yet."""
    value = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), value)


class _Patrol:
    """The thread that looks at every watchdog, started with the first one."""

    def __init__(self) -> None:
        self._watchdogs: WeakSet[Watchdog] = WeakSet()
        self._lock = threading.Lock()
        self._started = False

    def add(self, watchdog: Watchdog) -> None:
        with self._lock:
            self._watchdogs.add(watchdog)
            if not self._started:
                self._started = True
                if hasattr(os, "register_at_fork"):
                    os.register_at_fork(after_in_child=_start_anew)
                threading.Thread(target=self._walk, name="gym-mcp watchdog", daemon=True).start()

    def _walk(self) -> None:
        while True:
            time.sleep(_TICK)
            with self._lock:
                watchdogs = list(self._watchdogs)
            for watchdog in watchdogs:
                watchdog.check()
            del watchdogs


_patrol = _Patrol()
_local = threading.local()


def _start_anew() -> None:
    """A forked child has no patrol thread, so its watchdogs would never bite."""
    global _patrol, _local
    _patrol = _Patrol()
    _local = threading.local()


def watchdog() -> Watchdog:
    """The watchdog of this thread."""
    try:
        return _local.watchdog  # type: ignore[no-any-return]
    except AttributeError:
        _local.watchdog = Watchdog()
        return _local.watchdog  # type: ignore[no-any-return]
