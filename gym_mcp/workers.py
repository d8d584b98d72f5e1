"""Threads for the sync code of slow environments: each episode keeps one, and a stuck one is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gym_mcp.watchdog import TimeUp, watchdog

POOL_SIZE: Final = 32


@dataclass(slots=True, eq=False)
class _Job:
    future: asyncio.Future[Any]
    function: Callable[..., Any]
    args: tuple[Any, ...]
    timeout: float

    def deliver(self, result: Any, error: BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits
            self.future.get_loop().call_soon_threadsafe(_settle, self.future, result, error)


class Worker:
    """A daemon thread that runs one call at a time, in the order they came.

    The time limit of a call starts when its turn comes. A call that does not end when it is interrupted (it is
    stuck outside Python) costs its thread: a new one takes over the queue. A call whose caller gave up is not
    started; one that runs already ends in its own time, before the next.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._hire()

    def _hire(self) -> None:
        self._thread = threading.Thread(target=self._work, name="gym-mcp worker", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        me, dog = threading.current_thread(), watchdog()
        while self._thread is me:
            job = self._queue.get()
            if job.future.cancelled():
                continue

            def give_up(job: _Job = job) -> None:
                self._hire()
                job.deliver(None, TimeUp())

            dog.on_stuck = give_up
            try:
                result, error = dog.run(job.function, job.args, job.timeout), None
            except Exception as e:
                result, error = None, e
            except asyncio.CancelledError:
                result, error = None, RuntimeError("it cancelled itself")
            job.deliver(result, error)
            del job, result, error, give_up

    async def run(self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Any:
        """`function(*args)` on the thread; `TimeUp` when it ran longer than `timeout` seconds."""
        future = asyncio.get_running_loop().create_future()
        context = contextvars.copy_context()
        self._queue.put(_Job(future, context.run, (function, *args), timeout))
        return await future


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):  # futures refuse that one
        future.set_exception(RuntimeError(f"raised {error!r}"))
    else:
        future.set_exception(error)


_pool: list[Worker] = []
_next = itertools.count()


def assign_worker() -> Worker:
    """The worker that an episode keeps: round robin over a pool that grows to `POOL_SIZE`."""
    i = next(_next) % POOL_SIZE
    if i >= len(_pool):
        _pool.append(Worker())
        return _pool[-1]
    return _pool[i]
