"""Runs an agent's program under a warden: bounded output, and nothing of it left afterwards, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from gym_mcp.agents.memory import Watch
from gym_mcp.errors import HarnessError

MAX_LINE: Final = 8 * 1024 * 1024
"""Bytes of one line of an agent's output; a longer one is dropped."""
TAIL: Final = 16 * 1024
"""Bytes of an agent's stderr that are kept: the last ones."""
GRACE: Final = 2.0
"""Seconds between asking an agent to end and killing it."""
_LEAVE: Final = 15.0
_SWEEP: Final = 5.0
_LOOKS: Final = 5
_leaving: Final[set[asyncio.Task[None]]] = set()
_PACKAGE_ROOT: Final = str(Path(__file__).resolve().parents[2])
_WARDEN: Final = "import sys; sys.path.insert(0, {!r}); from gym_mcp.agents.warden.{} import {} as go; {}"


@dataclass(frozen=True, slots=True)
class Jail:
    """What a contained agent sees. `root`: an empty folder to build its file system in; `uid`: whom it becomes."""

    root: str
    readable: Sequence[str]
    writable: Sequence[str]
    hidden: Sequence[str]
    links: Sequence[tuple[str, str]]
    files: Mapping[str, str]
    ports: Sequence[int]
    uid: int | None


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: absolute `argv[0]`, the whole environment, a folder, and a file that is its stdin."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    stdin: Path = Path(os.devnull)
    jail: Jail | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended. `exit_code` is negative for a signal, None when the warden itself was killed."""

    exit_code: int | None
    stderr: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_kib: int = 0


async def run_program(program: Program, on_line: Callable[[bytes], None], watch: Watch | None = None) -> Ended:
    """Run `program` to its end; `on_line` gets each line of its stdout, `watch` the process above all of its own.

    Cancelled, it asks the program to end, kills it after `GRACE` seconds, and waits until nothing of it is left.
    `HarnessError` when it could not be started.
    """
    control_r, control_w = os.pipe()
    status_r, status_w = os.pipe()
    command = _WARDEN.format(_PACKAGE_ROOT, "main", "main", "go()")
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-B", "-c", command, str(control_r), str(status_w)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            pass_fds=(control_r, status_w),
            start_new_session=True,
        )
    except BaseException:
        os.close(control_w)
        os.close(status_r)
        raise
    finally:
        os.close(control_r)
        os.close(status_w)
    if watch is not None:
        watch.pid = process.pid
    errors = asyncio.create_task(_tail(process.stderr))
    output = asyncio.create_task(_lines(process.stdout, on_line))
    try:
        await asyncio.to_thread(_send, control_w, _config(program))
        said = await _read(status_r)
        if not said:  # nobody is left to end what may still hold the output open
            await _sweep(program.env)
        await asyncio.wait([errors, output])
        output.result()
        return _ended(said, errors.result().decode("utf-8", "replace"))
    finally:
        os.close(control_w)  # the warden ends everything now
        os.close(status_r)
        # Whoever is cancelled twice stops waiting; the waiting itself goes on.
        leaving = asyncio.create_task(_gone(process, errors, output))
        _leaving.add(leaving)
        leaving.add_done_callback(_leaving.discard)
        await asyncio.shield(leaving)


def _config(program: Program) -> bytes:
    config: dict[str, Any] = {
        "argv": list(program.argv),
        "env": dict(program.env),
        "cwd": str(program.cwd),
        "stdin": str(program.stdin),
        "grace": GRACE,
        "jail": asdict(program.jail) if program.jail else None,
    }
    return json.dumps(config).encode() + b"\n"


def _send(fd: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):
        while data:
            data = data[os.write(fd, data) :]


async def _gone(process: asyncio.subprocess.Process, *readers: asyncio.Task[Any]) -> None:
    """Wait for the end of a warden that was told to end, and of its output; kill it when it does not."""
    left = [asyncio.create_task(process.wait()), *readers]
    try:
        _, late = await asyncio.wait(left, timeout=_LEAVE)
        if late:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.wait(left, timeout=1.0)
    finally:
        for task in left:
            task.cancel()


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    assert stream is not None
    kept = b""
    while part := await stream.read(65_536):
        kept = (kept + part)[-TAIL:]
    return kept


async def _lines(stream: asyncio.StreamReader | None, on_line: Callable[[bytes], None]) -> None:
    assert stream is not None
    parts: list[bytes] = []
    size = 0
    while part := await stream.read(65_536):
        *whole, rest = part.split(b"\n")
        for line in whole:
            if size + len(line) <= MAX_LINE:
                on_line(b"".join([*parts, line]))
            parts, size = [], 0
        size += len(rest)
        if size <= MAX_LINE:
            parts.append(rest)
        else:
            parts = []
    if size and size <= MAX_LINE:
        on_line(b"".join(parts))


async def _sweep(env: Mapping[str, str]) -> None:
    """Kill what a killed warden has left: whoever has this program's home, which is no other's.

    Until several looks in a row find nobody: a process that is just being started shows no environment.
    """
    mark = f"HOME={env.get('HOME', '')}\0".encode()
    if len(mark) < 8:
        return
    quiet = 0
    end = time.monotonic() + _SWEEP
    while quiet < _LOOKS and time.monotonic() < end:
        quiet = 0 if _kill_all(mark) else quiet + 1
        await asyncio.sleep(0.02)


def _kill_all(mark: bytes) -> int:
    """Kill every process with `mark` in its environment; how many there were. A zombie's is empty."""
    count = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes() + b"\0":
                os.kill(int(entry.name), signal.SIGKILL)
                count += 1
    return count


async def _read(fd: int) -> bytes:
    """All that is written to a pipe until its writers have gone."""
    loop, found, over = asyncio.get_running_loop(), bytearray(), asyncio.Event()
    os.set_blocking(fd, False)

    def ready() -> None:
        part = os.read(fd, 65_536)
        found.extend(part)
        if not part:
            loop.remove_reader(fd)
            over.set()

    loop.add_reader(fd, ready)
    try:
        await over.wait()
    finally:
        loop.remove_reader(fd)
    return bytes(found)


def _ended(said: bytes, stderr: str) -> Ended:
    if not said:
        return Ended(None, stderr)
    end = json.loads(said.splitlines()[0])
    if "error" in end:
        raise HarnessError(end["error"], detail=stderr)
    return Ended(end["exit"], stderr, end["seconds"], end["cpu_seconds"], end["peak_kib"])


async def namespaces_permitted() -> bool:
    """Whether agents can be contained on this machine. `HarnessError` when it does not say so in time."""
    command = _WARDEN.format(_PACKAGE_ROOT, "jail", "possible", "sys.exit(not go())")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-B", "-c", command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_LEAVE):
            return await process.wait() == 0
    except TimeoutError:
        raise HarnessError(f"whether this system permits namespaces was not known after {_LEAVE:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
