"""Author code under a time limit, without a thread hop while it is fast.

A sync method runs on the event loop: a thread costs more than the work (40 us against 0.1). Two things would make
that unsafe. A method that is slow would stall every other episode: so the first call that takes longer than
`SLOW` moves the later episodes of its class to worker threads, each episode pinned to one (SQLite connections
and the like belong to a thread). A method that never returns would stall the run for ever: so a watchdog
interrupts it with an exception once its time is up.

A class with `async` methods stays on the loop, slow or not: the state that they share with its sync methods may
belong to the loop's thread. Their steps between two `await`s are under the watchdog too.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, ClassVar, Final

from gym_mcp.watchdog import TimeUp, watchdog
from gym_mcp.workers import assign_worker

SLOW: Final = 0.02
"""Seconds on the loop after which a class's later episodes run in threads."""
_log = logging.getLogger(__name__)


class Runner:
    """How one episode calls its author's methods."""

    __slots__ = ("_type", "_worker")
    _slow: ClassVar[set[type]] = set()

    def __init__(self, cls: type) -> None:
        self._type = cls
        self._worker = assign_worker() if cls in Runner._slow and _is_sync(cls) else None

    async def __call__(self, function: Callable[..., Any], *args: Any, timeout: float) -> Any:
        """Call a sync or async function; `TimeUp` after `timeout` seconds."""
        if self._worker is not None:
            value = await self._worker.run(function, args, timeout)
        else:
            value = self._here(function, args, timeout)
        return await _finish(value, timeout) if isinstance(value, Awaitable) else value

    def _here(self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Any:
        started = time.monotonic()
        try:
            return watchdog().run(function, args, timeout)
        except asyncio.CancelledError:
            raise RuntimeError("it cancelled itself") from None
        finally:
            seconds = time.monotonic() - started
            if seconds > SLOW and self._type not in Runner._slow:
                Runner._slow.add(self._type)
                if not _is_sync(self._type):
                    name = self._type.__name__
                    _log.info("%s held the event loop for %.2f s: its blocking code wants a thread", name, seconds)


def _is_sync(cls: type) -> bool:
    methods = (value for base in cls.__mro__ for value in vars(base).values())
    return not any(inspect.iscoroutinefunction(m) or inspect.isasyncgenfunction(m) for m in methods)


async def _finish(value: Awaitable[Any], timeout: float) -> Any:
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            return await (_stepwise(value, timeout) if inspect.iscoroutine(value) else value)
    except TimeoutError as e:
        if limit.expired() or isinstance(e, TimeUp):
            raise TimeUp from None
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError("it cancelled itself") from None
    except (SystemExit, KeyboardInterrupt) as e:
        raise RuntimeError(repr(e)) from None


@types.coroutine
def _stepwise(coroutine: Coroutine[Any, Any, Any], timeout: float) -> Generator[Any, Any, Any]:
    """Drive a coroutine with each of its steps under the watchdog: a step that never awaits has no other end."""
    dog = watchdog()
    step: Callable[[Any], Any] = coroutine.send
    sent: Any = None
    while True:
        try:
            awaited = dog.run(step, (sent,), timeout)
        except StopIteration as end:
            return end.value
        try:
            step, sent = coroutine.send, (yield awaited)
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as e:  # a cancellation, most of all: for the author's code to see
            step, sent = coroutine.throw, e


__all__ = ["SLOW", "Runner", "TimeUp"]
