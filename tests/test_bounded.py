"""Author code under a time limit: on the loop while it is fast, in a thread of its own once it is slow."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from gym_mcp.bounded import SLOW, Runner, TimeUp

LIMIT = 0.04
Main = Callable[[], Coroutine[Any, Any, Any]]


def on_asyncio(main: Main) -> Any:
    return asyncio.run(asyncio.wait_for(main(), 30.0))


def on_uvloop(main: Main) -> Any:
    return uvloop.run(asyncio.wait_for(main(), 30.0))


@pytest.fixture(params=[on_asyncio, on_uvloop])
def run(request: pytest.FixtureRequest) -> Callable[[Main], Any]:
    found: Callable[[Main], Any] = request.param
    return found


def fresh() -> type:
    return type("Fresh", (), {})


def spin() -> None:
    while True:
        pass


def sleep() -> None:
    time.sleep(60)


def lock() -> None:
    held = threading.Lock()
    held.acquire()
    held.acquire()


async def spin_between_awaits() -> None:
    await asyncio.sleep(0)
    spin()


async def sleep_for_ever() -> None:
    await asyncio.sleep(60)


async def block_after_an_await() -> None:
    await asyncio.sleep(0)
    time.sleep(60)  # noqa: ASYNC251 - the mistake that the watchdog is for


def give_a_future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    "function", [spin, sleep, lock, spin_between_awaits, sleep_for_ever, block_after_an_await, give_a_future]
)
def test_whatever_never_returns_is_cut_short(run: Callable[[Main], Any], function: Callable[[], Any]) -> None:
    async def main() -> float:
        started = time.monotonic()
        with pytest.raises(TimeUp):
            await Runner(fresh())(function, timeout=LIMIT)
        return time.monotonic() - started

    assert LIMIT * 0.9 <= run(main) < 5.0


def test_results_come_back_from_every_kind_of_function(run: Callable[[Main], Any]) -> None:
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x

    async def main() -> None:
        runner = Runner(fresh())
        assert await runner(abs, -3, timeout=1.0) == 3
        assert await runner(later, 4, timeout=1.0) == 4
        assert await runner(lambda: later(5), timeout=1.0) == 5
        assert await runner(lambda: asyncio.ensure_future(later(6)), timeout=1.0) == 6

    run(main)


def raising(error: BaseException) -> Callable[[], None]:
    def throw() -> None:
        raise error

    return throw


def raising_later(error: BaseException) -> Callable[[], Coroutine[Any, Any, None]]:
    async def throw() -> None:
        await asyncio.sleep(0)
        raise error

    return throw


@pytest.mark.parametrize("form", [raising, raising_later])
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (KeyError("k"), KeyError),
        (TimeoutError("a socket"), TimeoutError),
        (StopIteration(1), RuntimeError),
        (SystemExit(1), RuntimeError),
        (KeyboardInterrupt(), RuntimeError),
        (asyncio.CancelledError(), RuntimeError),
    ],
)
def test_errors_of_authors_never_look_like_ours(
    form: Callable[[BaseException], Callable[[], Any]], error: BaseException, raised: type[Exception]
) -> None:
    async def main() -> None:
        with pytest.raises(raised) as caught:
            await Runner(fresh())(form(error), timeout=1.0)
        assert not isinstance(caught.value, TimeUp)

    on_asyncio(main)


def test_a_real_cancellation_reaches_the_author_and_the_caller() -> None:
    log: list[str] = []

    async def author() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        finally:
            await asyncio.sleep(0)
            log.append("cleaned up")

    async def main() -> None:
        task = asyncio.create_task(Runner(fresh())(author, timeout=60.0))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    on_asyncio(main)
    assert log == ["cancelled", "cleaned up"]


def test_an_author_may_recover_from_an_error_at_an_await() -> None:
    async def author() -> str:
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(failed.set_exception, ValueError("x"))
        try:
            await failed
        except ValueError:
            return "recovered"
        return "not reached"

    async def main() -> str:
        async with asyncio.timeout(5.0):
            return str(await Runner(fresh())(author, timeout=1.0))

    assert on_asyncio(main) == "recovered"


def test_a_coroutine_that_is_dropped_is_closed() -> None:
    log: list[str] = []

    async def author() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            log.append("closed")

    async def main() -> None:
        call = Runner(fresh())(author, timeout=60.0)
        call.send(None)
        call.close()

    on_asyncio(main)
    assert log == ["closed"]


# -- slow classes -------------------------------------------------------------------------------------------------


class Slow:
    def work(self) -> int:
        time.sleep(SLOW * 2)
        return threading.get_ident()

    def fast(self) -> int:
        return threading.get_ident()


def test_a_slow_class_moves_its_later_episodes_to_threads() -> None:
    cls = type("Moved", (Slow,), {})

    async def main() -> None:
        here, first, slow = threading.get_ident(), Runner(cls), cls()
        assert await first(slow.fast, timeout=5.0) == here
        assert await first(slow.work, timeout=5.0) == here
        assert await first(slow.fast, timeout=5.0) == here, "an open episode stays where it is"
        runners = [Runner(cls) for _ in range(4)]
        for runner in runners:
            threads = {await runner(slow.fast, timeout=5.0) for _ in range(3)}
            assert len(threads) == 1 and here not in threads
        others = {await Runner(fresh())(slow.fast, timeout=5.0)}
        assert others == {here}, "other classes stay on the loop"

    on_asyncio(main)


def test_what_belongs_to_a_thread_works_after_the_move() -> None:
    cls = type("Database", (Slow,), {})

    async def episode() -> int:
        runner, held = Runner(cls), dict[str, sqlite3.Connection]()

        def connect() -> None:
            held["db"] = sqlite3.connect(":memory:")
            held["db"].execute("create table t (n)")

        def insert(n: int) -> int:
            held["db"].execute("insert into t values (?)", (n,))
            return int(held["db"].execute("select sum(n) from t").fetchone()[0])

        await runner(connect, timeout=5.0)
        for n in range(5):
            total = await runner(insert, n, timeout=5.0)
        await runner(lambda: held["db"].close(), timeout=5.0)
        return int(total)

    async def main() -> None:
        await Runner(cls)(cls().work, timeout=5.0)
        assert await asyncio.gather(*(episode() for _ in range(40))) == [10] * 40

    on_asyncio(main)


def test_threads_keep_the_loop_free() -> None:
    cls = type("Parallel", (Slow,), {})

    async def main() -> float:
        await Runner(cls)(cls().work, timeout=5.0)
        runners = [Runner(cls) for _ in range(8)]
        started = time.monotonic()
        await asyncio.gather(*(r(time.sleep, 0.2, timeout=5.0) for r in runners))
        return time.monotonic() - started

    assert on_asyncio(main) < 1.2, "eight calls of 0.2 s one after the other"


def test_a_class_with_async_methods_stays_on_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    class Mixed(Slow):
        async def later(self) -> int:
            return threading.get_ident()

    async def main() -> None:
        here = threading.get_ident()
        await Runner(Mixed)(Mixed().work, timeout=5.0)
        assert await Runner(Mixed)(Mixed().fast, timeout=5.0) == here
        assert await Runner(Mixed)(Mixed().later, timeout=5.0) == here

    with caplog.at_level(logging.INFO, logger="gym_mcp.bounded"):
        on_asyncio(main)
    assert [r.message.split(" held")[0] for r in caplog.records] == ["Mixed"]


def test_a_fast_class_is_not_moved_by_many_calls() -> None:
    cls = fresh()

    async def main() -> int:
        for _ in range(200):
            await Runner(cls)(abs, 1, timeout=5.0)
        return int(await Runner(cls)(threading.get_ident, timeout=5.0))

    assert on_asyncio(main) == threading.get_ident()
