"""Sync code whose time is up is interrupted, on any thread, and nothing else ever is."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from gym_mcp import watchdog as module
from gym_mcp.watchdog import TimeUp, watchdog

LIMIT = 0.04


def spin() -> None:
    while True:
        pass


def spin_in_steps() -> None:
    while True:
        time.sleep(0.001)


def sleep() -> None:
    time.sleep(60)


def lock() -> None:
    held = threading.Lock()
    held.acquire()
    held.acquire()


def read_pipe() -> None:
    read, write = os.pipe()
    try:
        os.read(read, 1)
    finally:
        os.close(read)
        os.close(write)


def broad() -> None:
    """Survives what an `except Exception` may swallow."""
    while True:
        try:
            spin_in_steps()
        except Exception:
            continue


class Bare:
    """Swallows the first interruption."""

    def __init__(self) -> None:
        self.swallowed = 0

    def __call__(self) -> None:
        while True:
            try:
                spin_in_steps()
            except BaseException:
                self.swallowed += 1
                if self.swallowed > 1:
                    raise


def elsewhere(work: Callable[[], Any]) -> Any:
    """Run `work` on another thread and give what came of it."""
    outcome: list[Any] = []

    def target() -> None:
        try:
            outcome.append(work())
        except BaseException as e:
            outcome.append(e)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(20.0)
    assert outcome, "the thread is stuck"
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def here(work: Callable[[], Any]) -> Any:
    return work()


Where = Callable[[Callable[[], Any]], Any]
PLACES = pytest.mark.parametrize("where", [here, elsewhere])


def timed_out(where: Where, function: Callable[[], Any]) -> float:
    """Seconds until the interruption."""
    started = time.monotonic()
    with pytest.raises(TimeUp):
        where(lambda: watchdog().run(function, (), LIMIT))
    return time.monotonic() - started


@PLACES
@pytest.mark.parametrize("function", [spin, spin_in_steps, broad])
def test_python_code_is_interrupted_anywhere(where: Where, function: Callable[[], Any]) -> None:
    assert LIMIT <= timed_out(where, function) < 5.0


@pytest.mark.skipif(not hasattr(signal, "SIGURG"), reason="no such signal here")
@pytest.mark.parametrize("function", [sleep, lock, read_pipe])
def test_on_the_main_thread_blocking_calls_are_woken(function: Callable[[], Any]) -> None:
    assert LIMIT <= timed_out(here, function) < 5.0


@PLACES
def test_code_that_swallows_the_interruption_gets_another(where: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.1)
    function = Bare()
    assert timed_out(where, function) < 5.0
    assert function.swallowed == 2


@PLACES
def test_results_errors_and_arguments_pass_through(where: Where) -> None:
    assert where(lambda: watchdog().run(divmod, (7, 2), 1.0)) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        where(lambda: watchdog().run(divmod, (7, 0), 1.0))


@PLACES
@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), type("Panic", (BaseException,), {})()]
)
def test_nothing_but_exceptions_gets_out(where: Where, error: BaseException) -> None:
    def throw() -> None:
        raise error

    with pytest.raises(RuntimeError, match=type(error).__name__):
        where(lambda: watchdog().run(throw, (), 1.0))


def test_an_authors_own_timeout_is_not_ours() -> None:
    def throw() -> None:
        raise TimeoutError("a socket")

    with pytest.raises(TimeoutError, match="a socket") as error:
        watchdog().run(throw, (), 1.0)
    assert not isinstance(error.value, TimeUp)


@PLACES
def test_a_call_inside_a_call_is_under_the_outer_limit(where: Where) -> None:
    inner = lambda: watchdog().run(spin_in_steps, (), 60.0)  # noqa: E731
    assert timed_out(where, inner) < 5.0

    def outer() -> str:
        watchdog().run(time.sleep, (0.01,), 0.001)
        time.sleep(0.1)
        return "the inner limit does not count"

    assert where(lambda: watchdog().run(outer, (), 5.0)) == "the inner limit does not count"


@PLACES
def test_after_a_call_the_thread_is_left_alone(where: Where) -> None:
    def work() -> str:
        dog = watchdog()
        dog.run(time.sleep, (0.01,), 0.05)
        deadline = time.monotonic() + 0.15
        while time.monotonic() < deadline:
            pass
        return "untouched"

    assert where(work) == "untouched"


class Finalized:
    """Its finalizer takes a while."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __del__(self) -> None:
        time.sleep(self.seconds)


def test_it_waits_for_the_end_of_what_would_forget_it() -> None:
    """What is raised there is printed, goes nowhere, and would be blamed on whoever runs at the time."""

    def work() -> None:
        for _ in range(4):
            Finalized(LIMIT)  # goes at once
        spin()

    with pytest.raises(TimeUp):
        watchdog().run(work, (), LIMIT)


def test_what_never_leaves_a_finalizer_is_interrupted_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.1)
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)

    def stay() -> None:
        Finalized(60.0)
        spin()

    with pytest.raises(TimeUp):
        watchdog().run(stay, (), LIMIT)


def test_a_stray_signal_does_nothing() -> None:
    watchdog()
    os.kill(os.getpid(), signal.SIGURG)
    assert watchdog().run(divmod, (7, 2), 1.0) == (3, 1)


def busy(seconds: float) -> str:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return "done"


def gamble(seed: int, calls: int) -> int:
    """Calls that end at about their limit; how many were cut short. An interruption outside fails the thread."""
    rng, dog, late = random.Random(seed), watchdog(), 0
    for _ in range(calls):
        try:
            assert dog.run(busy, (rng.uniform(0.0, 0.002),), 0.001) == "done"
        except TimeUp:
            late += 1
        sum(range(200))  # code of ours, in which nothing may land
    return late


def test_no_interruption_ever_lands_outside_author_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TICK", 0.0005)
    switch = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)
    outcomes: list[Any] = []

    def target(seed: int) -> None:
        try:
            outcomes.append(gamble(seed, 120))
        except BaseException as e:
            outcomes.append(e)

    try:
        threads = [threading.Thread(target=target, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        target(99)
        for thread in threads:
            thread.join(30.0)
    finally:
        sys.setswitchinterval(switch)
    assert len(outcomes) == 4 and all(isinstance(o, int) for o in outcomes), outcomes
    assert sum(outcomes) > 20, "the limit was never close: this test shows nothing"


def test_a_stuck_thread_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.05)
    release, stuck = threading.Event(), threading.Event()

    def work() -> None:
        dog = watchdog()
        dog.on_stuck = stuck.set
        with pytest.raises(TimeUp):
            dog.run(release.wait, (20.0,), 0.05)  # waits outside Python: no asynchronous exception gets there

    thread = threading.Thread(target=work)
    thread.start()
    assert stuck.wait(10.0)
    release.set()
    thread.join(10.0)
    assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_a_watchdog_too() -> None:
    watchdog()
    code = (
        "import os, sys\n"
        "from gym_mcp.watchdog import TimeUp, watchdog\n"
        "watchdog().run(int, (), 1.0)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    try:\n"
        "        watchdog().run(exec, ('while True: pass',), 0.1)\n"
        "    except TimeUp:\n"
        "        os._exit(7)\n"
        "    os._exit(1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=30).returncode == 7
