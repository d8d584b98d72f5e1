"""Author code under a time limit, without a thread hop while it is fast.

A sync method runs on the event loop: a thread costs more than the work (40 us against 0.1). Two things would make
that unsafe. A method that is slow would stall every other episode: so the first call that takes longer than
`SLOW` moves the later episodes of its class to worker threads, each episode pinned to one (SQLite connections
and the like belong to a thread). A method that never returns would stall the run for ever: so a watchdog
interrupts it with an exception once its time is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import queue
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final

SLOW: Final = 0.02
"""Seconds on the loop after which a class's later episodes run in threads."""
_SIGNAL: Final[int | None] = getattr(signal, "SIGURG", None)  # ignored by default, so a stray one is harmless


_AGAIN: Final = 1.0
"""Seconds after which a call that survived an interruption (a bare `except:`) is interrupted again."""


class CallTimeout(BaseException):
    """Raised inside author code that ran out of time. Not an `Exception`: broad handlers must not swallow it."""


class Watchdog:
    """Interrupts the sync call that runs on one thread when its deadline passes.

    On the main thread a signal does it, which also wakes `sleep`, locks and socket calls; elsewhere an
    asynchronous exception, which only reaches Python code.
    """

    def __init__(self) -> None:
        self.deadline = 0.0  # 0: nothing is running
        self._thread = threading.get_ident()
        self._main = threading.current_thread() is threading.main_thread() and _SIGNAL is not None
        if self._main and _SIGNAL is not None:
            signal.signal(_SIGNAL, self._interrupt)
        threading.Thread(target=self._watch, name="gym-mcp watchdog", daemon=True).start()

    def _interrupt(self, signum: int, frame: Any) -> None:
        if self.deadline and time.monotonic() >= self.deadline:
            self.deadline = time.monotonic() + _AGAIN
            raise CallTimeout

    def _watch(self) -> None:
        while True:
            time.sleep(0.05)
            if not self.deadline or time.monotonic() < self.deadline:
                continue
            if self._main and _SIGNAL is not None:
                signal.pthread_kill(self._thread, _SIGNAL)
            else:
                self.deadline = time.monotonic() + _AGAIN
                _interrupt(self._thread)

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Any:
        """`function(*args)` here and now; `TimeoutError` when it was cut short."""
        if self.deadline:  # author code that calls back into us is inside the outer limit
            return function(*args)
        self.deadline = time.monotonic() + timeout
        try:
            try:
                return function(*args)
            finally:
                self.deadline = 0.0
        except CallTimeout:  # also one that came just as the call returned
            raise TimeoutError from None
        except (SystemExit, KeyboardInterrupt) as e:  # author code must not end the run
            raise RuntimeError(repr(e)) from None


def _interrupt(thread: int | None) -> None:
    """Raise `CallTimeout` in another thread at its next bytecode; a blocking C call is not woken."""
    if thread is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(CallTimeout))


_local = threading.local()


def watchdog() -> Watchdog:
    """The watchdog of this thread."""
    try:
        return _local.watchdog  # type: ignore[no-any-return]
    except AttributeError:
        _local.watchdog = Watchdog()
        return _local.watchdog  # type: ignore[no-any-return]


class Worker:
    """A daemon thread that runs one call at a time. One that overran its limit is abandoned and replaced.

    The time limit of a call starts when its turn comes: whoever waits behind a stuck call does not pay for it.
    """

    def __init__(self) -> None:
        self._turns: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._start()

    def _turn(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self._turns is None or self._turns[0] is not loop:
            self._turns = (loop, asyncio.Lock())
        return self._turns[1]

    def _start(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]] | None]
        self._jobs = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, args=(self._jobs,), name="gym-mcp worker", daemon=True)
        self._thread.start()

    @staticmethod
    def _loop(jobs: queue.SimpleQueue[Any]) -> None:
        with contextlib.suppress(CallTimeout):  # the interruption of an abandoned thread may come late
            while (job := jobs.get()) is not None:
                future, function, args = job
                outcome: tuple[Any, BaseException | None]
                try:
                    outcome = (function(*args), None)
                except BaseException as e:  # carried to the caller
                    outcome = (None, e)
                with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits
                    future.get_loop().call_soon_threadsafe(_settle, future, *outcome)

    async def run(self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Any:
        async with self._turn():
            future = asyncio.get_running_loop().create_future()
            jobs = self._jobs
            jobs.put((future, function, args))
            try:
                async with asyncio.timeout(timeout):
                    return await future
            except (TimeoutError, asyncio.CancelledError):
                if future.cancelled():  # the thread is not back, and nobody may wait for it
                    jobs.put(None)
                    _interrupt(self._thread.ident)
                    self._start()
                raise


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, Exception) and not isinstance(error, StopIteration):  # futures refuse that one
        future.set_exception(error)
    else:
        future.set_exception(RuntimeError(f"{type(error).__name__} in a worker thread"))


_pool: list[Worker] = []
_next = itertools.count()
POOL_SIZE: Final = 32


def assign_worker() -> Worker:
    """The worker that an episode keeps: round robin over a pool that grows to `POOL_SIZE`."""
    i = next(_next) % POOL_SIZE
    if i >= len(_pool):
        _pool.append(Worker())
        return _pool[-1]
    return _pool[i]


class Runner:
    """How one episode calls its author's methods."""

    __slots__ = ("_type", "_worker")
    _slow: ClassVar[set[type]] = set()

    def __init__(self, cls: type) -> None:
        self._type = cls
        self._worker = assign_worker() if cls in Runner._slow else None

    async def __call__(self, function: Callable[..., Any], *args: Any, timeout: float) -> Any:
        """Call a sync or async function; `TimeoutError` after `timeout` seconds."""
        if self._worker is not None and not asyncio.iscoroutinefunction(function):
            value = await self._worker.run(function, args, timeout)
        else:
            started = time.monotonic()
            try:
                value = watchdog().run(function, args, timeout)
            finally:
                if time.monotonic() - started > SLOW:
                    Runner._slow.add(self._type)
        if not isinstance(value, Awaitable):
            return value
        try:
            async with asyncio.timeout(timeout):
                return await value
        except (SystemExit, KeyboardInterrupt) as e:
            raise RuntimeError(repr(e)) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise RuntimeError("cancelled itself") from None
