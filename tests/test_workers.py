"""Threads for slow environments: order, pins, limits that start with the call, and replacement of a stuck one."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from gym_mcp import watchdog as dogs
from gym_mcp import workers
from gym_mcp.watchdog import TimeUp
from gym_mcp.workers import POOL_SIZE, Worker, assign_worker
from tests.support import run


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dogs, "AGAIN", 0.05)


def spin() -> None:
    while True:
        pass


def thread() -> int:
    return threading.get_ident()


def test_calls_of_a_worker_run_on_one_thread_in_order() -> None:
    async def main() -> None:
        worker, seen = Worker(), list[int]()
        await asyncio.gather(*(worker.run(seen.append, (i,), 5.0) for i in range(50)))
        assert seen == list(range(50))
        threads = {await worker.run(thread, (), 5.0) for _ in range(5)}
        assert len(threads) == 1 and threads != {thread()}

    run(main)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (KeyError("k"), KeyError),
        (TimeoutError("a socket"), TimeoutError),
        (StopIteration(1), RuntimeError),
        (SystemExit(1), RuntimeError),
        (asyncio.CancelledError(), RuntimeError),
    ],
)
def test_errors_are_carried_and_the_worker_goes_on(error: BaseException, raised: type[Exception]) -> None:
    def throw() -> None:
        raise error

    async def main() -> None:
        worker = Worker()
        before = await worker.run(thread, (), 5.0)
        with pytest.raises(raised) as caught:
            await worker.run(throw, (), 5.0)
        assert not isinstance(caught.value, TimeUp)
        assert await worker.run(thread, (), 5.0) == before

    run(main)


def test_the_callers_context_comes_along() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def main() -> None:
        variable.set("set")
        assert await Worker().run(variable.get, (), 5.0) == "set"

    run(main)


def test_an_interrupted_call_costs_neither_the_thread_nor_the_queue() -> None:
    async def main() -> None:
        worker = Worker()
        before = await worker.run(thread, (), 5.0)
        stuck = asyncio.create_task(worker.run(spin, (), 0.1))
        behind = asyncio.create_task(worker.run(thread, (), 0.1))
        with pytest.raises(TimeUp):
            await stuck
        assert await behind == before, "whoever waits keeps the thread and its own limit"

    run(main)


def test_the_limit_of_a_call_starts_when_its_turn_comes() -> None:
    async def main() -> None:
        worker, gate = Worker(), threading.Event()
        first = asyncio.create_task(worker.run(gate.wait, (10.0,), 10.0))
        second = asyncio.create_task(worker.run(thread, (), 0.05))
        await asyncio.wait([second], timeout=0.2)
        gate.set()
        await first
        assert isinstance(await second, int)

    run(main)


def test_a_thread_that_is_stuck_outside_python_is_replaced() -> None:
    async def main() -> None:
        worker, gate = Worker(), threading.Event()
        first = await worker.run(threading.current_thread, (), 5.0)
        stuck = asyncio.create_task(worker.run(gate.wait, (30.0,), 0.05))
        behind = [asyncio.create_task(worker.run(thread, (), 5.0)) for _ in range(3)]
        with pytest.raises(TimeUp):
            await stuck
        after = set(await asyncio.gather(*behind))
        assert len(after) == 1 and after != {first.ident}
        gate.set()
        await asyncio.to_thread(first.join, 10.0)
        assert not first.is_alive(), "a replaced thread must end when it can"
        assert await worker.run(thread, (), 5.0) in after

    run(main)


def test_a_call_that_was_cancelled_in_the_queue_never_runs() -> None:
    async def main() -> None:
        worker, gate, ran = Worker(), threading.Event(), list[str]()
        first = asyncio.create_task(worker.run(gate.wait, (10.0,), 10.0))
        second = asyncio.create_task(worker.run(ran.append, ("cancelled",), 5.0))
        third = asyncio.create_task(worker.run(ran.append, ("kept",), 5.0))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        gate.set()
        await asyncio.gather(first, third)
        assert ran == ["kept"] and second.cancelled()

    run(main)


def test_a_call_that_is_cancelled_while_it_runs_ends_before_the_next_one_starts() -> None:
    async def main() -> None:
        worker, began, gate, log = Worker(), asyncio.Event(), threading.Event(), list[str]()
        loop = asyncio.get_running_loop()

        def slow() -> None:
            loop.call_soon_threadsafe(began.set)
            gate.wait(10.0)
            log.append("first")

        first = asyncio.create_task(worker.run(slow, (), 10.0))
        await began.wait()
        first.cancel()
        await asyncio.wait([first])
        second = asyncio.create_task(worker.run(log.append, ("second",), 5.0))
        gate.set()
        await second
        assert log == ["first", "second"]

    run(main)


def test_a_result_after_the_loop_is_gone_disturbs_nobody() -> None:
    worker, gate = Worker(), threading.Event()

    async def leave() -> None:
        asyncio.ensure_future(worker.run(gate.wait, (10.0,), 10.0))  # noqa: RUF006 - nobody waits for it
        await asyncio.sleep(0)

    asyncio.run(leave())
    gate.set()

    async def again() -> Any:
        return await worker.run(thread, (), 5.0)

    assert isinstance(run(again), int)


def test_episodes_are_spread_over_a_pool_that_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_pool", pool := list[Worker]())
    monkeypatch.setattr(workers, "POOL_SIZE", 3)
    monkeypatch.setattr(workers, "_next", iter(range(10)))
    assigned = [assign_worker() for _ in range(7)]
    assert len(pool) == 3 and assigned == [pool[i % 3] for i in range(7)]
    assert POOL_SIZE > 3
