"""Programs that nobody trusts: what they get, what they must not get, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from verifiers.sandbox import MIB, Job, Limits, Outcome, SandboxError, arun, local, run
from verifiers.sandbox_local import LocalProvider

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the local provider needs Linux"),
]
PROVIDERS = [
    pytest.param(LocalProvider(namespaces=on), id="namespaces" if on else "plain") for on in (True, False)
]
SMALL = Limits(seconds=5.0, memory=512 * MIB, output=MIB)

ENDED = {
    "endless": ("while True: pass", "time"),
    "asleep": ("import time; time.sleep(100)", "time"),
    "deaf": ("import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n"
             "    except (OSError, ValueError): pass\nwhile True: pass", "time"),
    "fork bomb": ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", "time"),
    "threads": ("import time, threading as t\nwhile 1:\n    try: t.Thread(target=time.sleep, args=[9]).start()\n"
                "    except RuntimeError: pass", "time"),
    "output": ("import os\nwhile True: os.write(1, b'y' * 1_000_000)", "output"),
    "errors": ("import os\nwhile True: os.write(2, b'y' * 1_000_000)", "output"),
}  # fmt: skip
FAILS = {
    "memory": "x = []\nwhile True: x.append(bytearray(10_000_000))",
    "family": "import os, time\nfor _ in range(20):\n    if os.fork() == 0:\n        x = bytearray(400_000_000)\n"
    "        for i in range(0, len(x), 4096): x[i] = 1\n        time.sleep(60)\ntime.sleep(60)",
    "shared memory": "import mmap, os, time\nfor _ in range(20):\n    if os.fork() == 0:\n"
    "        x = mmap.mmap(-1, 400_000_000)\n        for i in range(0, len(x), 4096): x[i] = 1\n"
    "        time.sleep(60)\ntime.sleep(60)",
    "disk": "n = 0\nwhile True:\n    with open(f'f{n}', 'wb') as f: f.write(b'x' * 10_000_000)\n    n += 1",
    "files": "n = 0\nwhile True:\n    open(f'f{n}', 'w').close(); n += 1",
    "memfd": "import os; os.memfd_create('x')",
    "socket": "import socket; socket.create_connection(('127.0.0.1', 1), 1)",
    "udp": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "namespace": "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0",
    "recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef f(): return [*map(lambda _: f(), [0])]\nf()",
    "crash": "import ctypes; ctypes.string_at(0)",
    "abort": "import os; os.abort()",
    "syntax": "def (",
    "nul": "print(1)\x00",
    "surrogate": "print('\udc80')",
    "parentheses": "x = " + "(" * 100_000,
    "exit": "exit(3)",
    "raise": "raise ValueError('no')",
}


@pytest.fixture(autouse=True)
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where sandboxes have their working directories; nothing may be left there, nor any process of theirs."""
    tmp_path_factory.getbasetemp()  # elsewhere
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        before, tempfile.tempdir = tempfile.tempdir, place
        try:
            yield Path(place)
        finally:
            tempfile.tempdir = before
        assert not _processes(place), "a process of a sandbox is left"
        assert not os.listdir(place), "a working directory is left"


def _processes(place: object) -> list[str]:
    found = []
    for pid in os.listdir("/proc"):
        try:
            environment = Path("/proc", pid, "environ").read_bytes() if pid.isdigit() else b""
        except OSError:
            continue
        if f"HOME={place}/".encode() in environment:
            found.append(pid)
    return found


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_program_gets_its_input_and_gives_its_output(provider: LocalProvider) -> None:
    program = "import sys\ndata = sys.stdin.read()\nprint(len(data), data[:3])\nprint('bad', file=sys.stderr)"
    outcome = run(program, stdin="äöü" * 1_000_000, provider=provider)
    assert (outcome.text, outcome.error_text, outcome.exit_code) == ("3000000 äöü\n", "bad\n", 0)
    assert outcome.ok and not outcome.truncated and not outcome.timed_out
    assert 0 < outcome.cpu_seconds < 5 and outcome.memory > MIB


@pytest.mark.parametrize(
    "program",
    [
        "if __name__ == '__main__': print(input()[::-1])",
        "print(open(0).read().strip()[::-1])",
        "print(open('/dev/stdin').read().strip()[::-1])",
        "import sys\nfor line in sys.stdin.buffer: sys.stdout.buffer.write(line.strip()[::-1])",
        "import os; os.write(1, os.read(0, 9).strip()[::-1]); os._exit(0)",
        "import atexit; s = input(); atexit.register(lambda: print(s[::-1])); quit()",
        "import threading; threading.Thread(target=lambda: print(input()[::-1])).start()",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    s: str\nprint(A(input()).s[::-1])",
        "from __future__ import annotations\nimport typing\ndef f(x: int): pass\ntyping.get_type_hints(f)\n"
        "print(input()[::-1])",
        "import multiprocessing as m\nwith m.Pool(2) as p: print(p.map(str.upper, [input()])[0].lower()[::-1])",
    ],
)
def test_ways_to_read_and_write(program: str) -> None:
    outcome = run(program, stdin="abc\n")
    assert outcome.text.strip() == "cba", outcome.error_text


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", ENDED)
def test_what_does_not_end_is_ended(name: str, provider: LocalProvider) -> None:
    program, killer = ENDED[name]
    started = time.monotonic()
    outcome = run(program, limits=Limits(seconds=0.4, output=MIB), provider=provider)
    assert (outcome.killed_by, outcome.exit_code, outcome.ok) == (killer, -9, False)
    assert len(outcome.stdout) <= MIB and len(outcome.stderr) <= MIB
    assert outcome.truncated == (killer == "output")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", FAILS)
def test_what_asks_too_much_fails(name: str, provider: LocalProvider) -> None:
    outcome = run(FAILS[name], limits=SMALL, provider=provider)
    assert not outcome.ok
    assert outcome.killed_by in (None, "memory", "disk")
    assert outcome.stdout == b""


def test_processor_time_is_limited() -> None:
    outcome = run("while True: pass", limits=Limits(seconds=20, cpu_seconds=0.5))
    assert outcome.killed_by == "cpu" and outcome.timed_out
    assert outcome.cpu_seconds < 3


@pytest.mark.parametrize("provider", PROVIDERS)
def test_it_cannot_kill(provider: LocalProvider) -> None:
    program = f"""
import os
for pid in (1, os.getppid(), {os.getpid()}, {os.getppid()}):
    if pid != os.getpid():
        try: os.kill(pid, 9)
        except OSError: pass
print("done", flush=True)
try: os.kill(-1, 9)
except OSError: pass
"""
    bystander = run("print(1)", provider=provider)
    assert run(program, provider=provider).text == "done\n"
    assert bystander.ok


@pytest.mark.parametrize("provider", PROVIDERS)
def test_its_daemons_end_with_it(provider: LocalProvider) -> None:
    program = """
import os, time
try:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for fd in (0, 1, 2): os.close(fd)
            time.sleep(100)
        os._exit(0)
except PermissionError:
    pass
print("parent is done")
"""
    started = time.monotonic()
    assert run(program, provider=provider).text == "parent is done\n"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("provider", PROVIDERS)
def test_it_cannot_read_what_lies_around(provider: LocalProvider, tmp_path: Path) -> None:
    secret = tmp_path / "gold.txt"
    secret.write_text("42")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    secret.chmod(0o644)
    for path in (
        secret,
        Path(__file__).resolve(),
        Path("/etc/passwd"),
        Path("/proc", str(os.getpid()), "environ"),
    ):
        outcome = run(f"print(open({str(path)!r}).read())", provider=provider)
        assert outcome.stdout == b"" and "Error" in outcome.error_text, path


@pytest.mark.parametrize("provider", PROVIDERS)
def test_it_starts_clean(provider: LocalProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "42")
    read, write = os.pipe()
    os.set_inheritable(read, True)
    program = """
import os, sys
print(os.listdir("."))
print(sorted(os.environ))
def is_open(fd):
    try: os.fstat(fd)
    except OSError: return False
    return True
print([fd for fd in range(3, 1000) if is_open(fd)])
print(sys.argv, [m for m in sys.modules if "verif" in m])
"""
    try:
        text = run(program, provider=provider).text.splitlines()
    finally:
        os.close(read)
        os.close(write)
    assert text[0] == "[]" and text[2] == "[]"
    assert "MY_SECRET" not in text[1] and "PYTHONPATH" not in text[1]
    assert text[3] == "['program.py'] []"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_files_are_laid_out_for_it(provider: LocalProvider) -> None:
    program = "import os\nprint(open('a.txt').read(), open('d/b.bin','rb').read(), sorted(os.listdir()))"
    outcome = run(program, files={"a.txt": b"one", "d/b.bin": b"\xff"}, provider=provider)
    assert outcome.text == "one b'\\xff' ['a.txt', 'd']\n", outcome.error_text


def test_packages_only_when_named() -> None:
    pytest.importorskip("numpy")
    program = "import numpy; print(numpy.arange(3).sum())"
    assert "ModuleNotFoundError" in run(program).error_text
    assert local().run(Job(program, packages=("numpy",))).text == "3\n"
    with pytest.raises(SandboxError, match="no package no-such-thing"):
        local().run(Job("", packages=("no-such-thing",)))


def test_the_outcome_says_what_contained_it() -> None:
    kinds = [set(LocalProvider(namespaces=on).run(Job("")).containment) for on in (True, False)]
    for kind in kinds:
        assert {"rlimits", "session"} <= kind
    assert not kinds[1] & {"pid", "network", "ipc", "root"}


def test_a_traceback_shows_the_programs_frames_only() -> None:
    lines = run("def f():\n    1 / 0\nf()").error_text.splitlines()
    assert [line for line in lines if "File" in line] == [
        '  File "program.py", line 3, in <module>',
        '  File "program.py", line 2, in f',
    ]


def test_the_loop_goes_on_meanwhile() -> None:
    async def both() -> tuple[list[Outcome], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticker = asyncio.create_task(tick())
        outcomes = await asyncio.gather(*(arun("import time; time.sleep(0.1); print(7)") for _ in range(6)))
        ticker.cancel()
        return outcomes, ticks

    outcomes, ticks = asyncio.run(both())
    assert [o.text for o in outcomes] == ["7\n"] * 6
    assert ticks > 10


def test_cancelling_ends_the_program(places: Path) -> None:
    async def cancelled() -> None:
        async with asyncio.timeout(0.3):
            await arun("while True: pass", limits=Limits(seconds=30))

    started = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(cancelled())
    while (_processes(places) or os.listdir(places)) and time.monotonic() - started < 5:
        time.sleep(0.02)
    assert time.monotonic() - started < 5


def test_starting_is_cheap() -> None:
    times = []
    for _ in range(9):
        started = time.perf_counter()
        assert run("pass").ok
        times.append(time.perf_counter() - started)
    assert statistics.median(times) < 0.15  # 0.025 s on an idle machine
