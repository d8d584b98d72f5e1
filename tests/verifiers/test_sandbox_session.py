"""A Python session: state between calls, its limits, and what happens when they are passed."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from verifiers.sandbox import MIB, Limits
from verifiers.sandbox_local import LocalProvider, in_thread
from verifiers.sandbox_session import CellResult, PythonSession

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the local provider needs Linux"),
]
LIMITS = Limits(seconds=60, memory=512 * MIB, output=MIB)


@pytest.fixture(params=[True, False], ids=["namespaces", "plain"])
def session(request: pytest.FixtureRequest) -> Iterator[PythonSession]:
    session = PythonSession(LIMITS, provider=LocalProvider(namespaces=request.param))
    yield session
    session.close()


def test_state_is_kept(session: PythonSession) -> None:
    assert session.run("x = 41\ndef f(): return x + 1", 5) == CellResult("", "", None)
    assert session.run("print(f())\nf() + 1", 5) == CellResult("42\n", "", "43")
    assert session.run("", 5) == CellResult("", "", None)
    assert session.run("import sys; print('bad', file=sys.stderr)", 5) == CellResult("", "bad\n", None)


def test_errors_are_shown_and_state_survives_them(session: PythonSession) -> None:
    session.run("def f(n):\n    return 1 / n", 5)
    failed = session.run("y = 7\nf(0)", 5)
    assert [line for line in failed.stderr.splitlines() if "^" not in line] == [
        "Traceback (most recent call last):",
        '  File "<cell 2>", line 2, in <module>',
        "    f(0)",
        '  File "<cell 1>", line 2, in f',
        "    return 1 / n",
        "ZeroDivisionError: division by zero",
    ]
    assert "SyntaxError" in session.run("def (", 5).stderr
    assert session.run("exit(3)", 5).stderr == "SystemExit: 3\n"
    assert session.run("y", 5) == CellResult("", "", "7")


def test_large_cells_and_large_output(session: PythonSession) -> None:
    text = "äx" * 300_000
    assert session.run(f"s = {text!r}\nprint(len(s), end='')", 10) == CellResult("600000", "", None)
    for _ in range(3):  # the limit is for each cell
        assert len(session.run("print('y' * 900_000)", 10).stdout) == 900_001


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("while True: pass", "timeout"),
        ("import time; time.sleep(99)", "timeout"),
        ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", "timeout"),
        ("while True: print('y' * 100_000)", "output"),
        ("import os; os._exit(0)", "died"),
        ("import ctypes; ctypes.string_at(0)", "died"),
        ("import os\nfor fd in range(3, 9):\n    try: os.close(fd)\n    except OSError: pass", "died"),
    ],
)
def test_a_session_that_passes_its_limits_is_over(session: PythonSession, code: str, ended: str) -> None:
    started = time.monotonic()
    assert session.run("print(1)\n" + code, 0.6).ended == ended
    assert not session.alive
    assert session.run("print(2)", 1).ended == "died"
    session.close()
    assert time.monotonic() - started < 5


def test_memory_is_limited_but_the_session_lives(session: PythonSession) -> None:
    assert "MemoryError" in session.run("x = bytearray(2_000_000_000)", 5).stderr
    assert session.run("1 + 1", 5).result == "2"


def test_a_forged_reply_ends_nothing(session: PythonSession) -> None:
    forged = 'import os; os.write(4, b\'{"id": "0", "result": "9"}\\nnonsense\\n\')\nprint(1)'
    assert session.run(forged, 5) == CellResult("1\n", "", None)


def test_closing_while_a_cell_runs(session: PythonSession) -> None:
    found: list[CellResult] = []
    thread = threading.Thread(
        target=lambda: found.append(session.run("print(1, flush=True)\nwhile True: pass", 30))
    )
    thread.start()
    time.sleep(0.2)
    session.close()
    thread.join(5)
    assert not thread.is_alive()
    assert [result.ended for result in found] == ["died"]


def test_cancelling_ends_the_session(session: PythonSession) -> None:
    async def cancelled() -> None:
        async with asyncio.timeout(0.2):
            await in_thread(session.run, "while True: pass", 30.0)

    started = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(cancelled())
    session.close()
    assert time.monotonic() - started < 5
