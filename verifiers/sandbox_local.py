"""The local provider: programs as contained processes of this machine (`sandbox_guest` is what contains them)."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import functools
import marshal
import os
import selectors
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, Final, ParamSpec, TypeVar, cast

from verifiers import sandbox_host
from verifiers.sandbox import Job, Killer, Outcome, SandboxError

P = ParamSpec("P")
T = TypeVar("T")
_ROOT: Final = str(Path(__file__).resolve().parent.parent)
_START: Final = "import sys; sys.path.append({root!r}); from verifiers.sandbox_guest import main; main({fd})"
_GRACE: Final = 10.0
"""Seconds beyond a program's own that the sandbox may take to start and to clean up."""
_CHUNK: Final = 65_536
_ENVIRONMENT: Final = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class Process:
    """A contained program that runs. Close it, or use it as a context manager: nothing of it is left then."""

    def __init__(self, job: Job, namespaces: bool) -> None:
        self.limits = job.limits
        self._work = tempfile.mkdtemp(prefix="sandbox-")
        self._fds: list[int] = []
        self._control = -1
        self._scope: Scope | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.status: IO[bytes] | None = None
        try:
            self._start(job, namespaces)
        except (OSError, LookupError) as e:
            self.close()
            raise SandboxError(f"cannot start a process: {e}") from None
        self._scope = _scope.get()
        if self._scope is not None:
            self._scope.add(self)

    def _start(self, job: Job, namespaces: bool) -> None:
        status_r, status_w = os.pipe()
        self.status = open(status_r, "rb", buffering=0)
        control_r, self._control = os.pipe()
        self._fds += [control_r, status_w]
        config = self._config(job, namespaces, status_w, control_r)
        with as_file(marshal.dumps(config)) as packed, as_file(job.stdin) as stdin:
            command = [sandbox_host.interpreter(), "-S", "-P", "-s", "-X", "utf8", "-c"]
            command.append(_START.format(root=_ROOT, fd=packed.fileno()))
            self._process = subprocess.Popen(
                command,
                stdin=stdin.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env=_ENVIRONMENT | {"HOME": self._work, "TMPDIR": "/tmp" if namespaces else self._work},
                pass_fds=[packed.fileno(), status_w, control_r, *job.channels],
                start_new_session=True,
            )
        self._drop_fds()

    def _config(self, job: Job, namespaces: bool, status: int, control: int) -> dict[str, Any]:
        limits = dataclasses.asdict(job.limits)
        if limits["cpu_seconds"] is None:
            limits["cpu_seconds"] = limits["seconds"]
        binds, links, masks = sandbox_host.libraries()
        packages = sandbox_host.package_paths(job.packages)
        return {
            "program": job.program.encode("utf-8", "surrogatepass"),
            "name": job.name,
            "prelude": job.prelude,
            "limits": limits,
            "files": dict(job.files),
            "work": self._work,
            "namespaces": namespaces,
            "status": status,
            "control": control,
            "channels": list(job.channels),
            "own_user": job.own_user,
            "binds": binds
            + [(p, f"/packages/{os.path.basename(p)}") for p in packages]
            + [(os.path.realpath(p), os.path.realpath(p)) for p in job.readable],
            "links": links,
            "masks": masks,
            "packages": bool(packages),
            "package_folders": sorted({os.path.dirname(p) for p in packages}),
        }

    @property
    def streams(self) -> list[IO[bytes]]:
        """Reading ends of the program's stdout and stderr, and of what the sandbox says of it."""
        process = self._process
        found = [self.status] if process is None else [process.stdout, process.stderr, self.status]
        return [stream for stream in found if stream is not None]

    def end(self) -> None:
        """Tell the launcher to end the program, all of it. Safe from any thread, at any time."""
        control, self._control = self._control, -1
        if control >= 0:
            os.close(control)

    def close(self) -> None:
        """End the program and wait until nothing of it is left."""
        if self._scope is not None:
            self._scope.discard(self)
        self.end()
        self._drop_fds()
        if self._process is not None:
            _await_end(self._process)
        for stream in self.streams:
            stream.close()
        shutil.rmtree(self._work, ignore_errors=True)

    def _drop_fds(self) -> None:
        while self._fds:
            os.close(self._fds.pop())

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _await_end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:  # in a pid namespace everything inside goes with the launcher
        process.kill()
        process.wait()


class Collector:
    """Reads what a `Process` writes, each stream up to the limit of its output.

    Collectors that share a `selector` are read together.
    """

    def __init__(self, process: Process, selector: selectors.BaseSelector | None = None) -> None:
        self.process = process
        self.stdout, self.stderr, self.status = bytearray(), bytearray(), bytearray()
        self.kept = (self.stdout, self.stderr, self.status)
        self.truncated = False
        self._selector = selector or selectors.DefaultSelector()
        for stream, into in zip(process.streams, self.kept, strict=True):
            self.watch(stream.fileno(), into)

    def watch(self, fd: int, into: bytearray) -> None:
        """Read `fd` as well."""
        os.set_blocking(fd, False)
        self._selector.register(fd, selectors.EVENT_READ, functools.partial(self._read, fd, into))

    def watches(self, fd: int) -> bool:
        """Whether more may come from `fd`."""
        return fd in self._selector.get_map()

    def collect(self, deadline: float) -> bool:
        """Read until all streams have ended; False when `deadline` (monotonic) came first."""
        while self._selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.step(left)
        return True

    def step(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for anything to read, and read it."""
        for key, _ in self._selector.select(timeout):
            key.data()

    def _read(self, fd: int, into: bytearray) -> None:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(fd)
            return
        room = self.process.limits.output - len(into)
        into += data[: max(room, 0)]
        if len(data) > room:
            self.truncated = True
            self.process.end()

    def close(self) -> None:
        self._selector.close()

    def outcome(self) -> Outcome:
        """What the status lines say; `SandboxError` when the sandbox did not get to run the program."""
        said = self.check()
        end = said.get("exit", "").split()
        if not end and not self.truncated:
            raise self._early()
        code, killer, seconds, cpu, memory = end or ("-9", "output", "0", "0", "0")
        killed = "output" if self.truncated else None if killer == "-" else killer
        return Outcome(
            stdout=bytes(self.stdout),
            stderr=bytes(self.stderr),
            exit_code=int(code),
            killed_by=cast("Killer | None", killed),
            seconds=float(seconds),
            cpu_seconds=float(cpu),
            memory=int(memory) * 1_024,
            truncated=self.truncated,
            containment=tuple(said["contained"].split(",")),
            notes=tuple(line[5:] for line in self._lines() if line.startswith("note ")),
        )

    def check(self) -> dict[str, str]:
        """The status lines by their first words; `SandboxError` when the sandbox could not run the program."""
        said = dict(line.split(" ", 1) for line in self._lines() if " " in line)
        if "failed" in said:
            raise SandboxError(said["failed"])
        if "contained" not in said:
            raise self._early()
        return said

    def _lines(self) -> list[str]:
        return self.status.decode("utf-8", "replace").splitlines()

    def _early(self) -> SandboxError:
        return SandboxError(f"the sandbox ended early: {self.stderr.decode('utf-8', 'replace')[-500:]}")


class Scope:
    """All processes that one piece of work has started, so that they can be ended together."""

    def __init__(self) -> None:
        self._processes: set[Process] = set()
        self._cancelled = False

    def add(self, process: Process) -> None:
        self._processes.add(process)
        if self._cancelled:
            process.end()

    def discard(self, process: Process) -> None:
        self._processes.discard(process)

    def cancel(self) -> None:
        """End what runs; what starts later ends at once."""
        self._cancelled = True
        for process in list(self._processes):
            process.end()


_scope: ContextVar[Scope | None] = ContextVar("_scope", default=None)


@contextlib.contextmanager
def within_scope(process: Process) -> Iterator[None]:
    """Let the cancelling of the current piece of work end `process`, though an earlier one started it."""
    scope = _scope.get()
    if scope is None:
        yield
        return
    scope.add(process)
    try:
        yield
    finally:
        scope.discard(process)


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that runs programs without blocking the event loop.

    As many at a time as there are processors: a limit by the clock is fair only then. Cancelling ends them.
    """
    scope = Scope()

    def scoped() -> T:
        _scope.set(scope)
        return function(*args, **kwargs)

    work = asyncio.get_running_loop().run_in_executor(_threads(), contextvars.copy_context().run, scoped)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        work.cancel()
        scope.cancel()
        raise


class LocalProvider:
    """Contained processes of this machine.

    `namespaces=False` does without Linux namespaces, as it also happens by itself where the system permits none:
    then another user (as root), Landlock and the system call filter contain the program, as far as each is there.
    """

    def __init__(self, *, namespaces: bool = True) -> None:
        self._namespaces = namespaces

    def start(self, job: Job) -> Process:
        """A running program to talk to through its `channels`."""
        return Process(job, self._namespaces)

    def run(self, job: Job) -> Outcome:
        with self.start(job) as process, contextlib.closing(Collector(process)) as collector:
            if not collector.collect(time.monotonic() + job.limits.seconds + _GRACE):
                process.end()
                collector.collect(time.monotonic() + _GRACE)
            return collector.outcome()

    async def arun(self, job: Job) -> Outcome:
        return await in_thread(self.run, job)


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="sandbox")


def as_file(data: bytes) -> IO[bytes]:
    """An open file without a name that holds `data`."""
    if hasattr(os, "memfd_create"):
        file = cast("IO[bytes]", open(os.memfd_create("sandbox"), "r+b", buffering=0))
    else:
        file = cast("IO[bytes]", tempfile.TemporaryFile(buffering=0))
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    file.seek(0)
    return file
