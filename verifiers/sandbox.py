"""Run a Python program that nobody trusts: `run(program, stdin=..., limits=...)` -> `Outcome`.

Who does the work is a `Provider`. The local one (`sandbox_local`) contains the program on this machine; docker or
a remote service would be other providers of the same two methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal, Protocol, TypeAlias

Killer: TypeAlias = Literal["time", "cpu", "memory", "output", "disk", "cancelled"]
MIB: Final = 1_048_576


class SandboxError(Exception):
    """The sandbox itself failed: says nothing about the program."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use. Sizes in bytes, times in seconds.

    `memory` holds for one process by its address space, and for all of the program's processes together by what
    they occupy. `output` is the most that is read of stdout and of stderr each; who writes more is ended.
    `disk` is for all files that it writes, `files` how many these may be.
    """

    seconds: float = 10.0
    cpu_seconds: float | None = None
    """None: as `seconds`."""
    memory: int = 1_024 * MIB
    stack: int = 64 * MIB
    processes: int = 32
    """Processes and threads."""
    output: int = 8 * MIB
    disk: int = 64 * MIB
    files: int = 1_000
    open_files: int = 64


@dataclass(frozen=True, slots=True)
class Job:
    """A program and what it starts with. `files` are written into its empty working directory.

    `packages` are distributions of this Python that it may import besides the standard library. `channels` are
    open file descriptors that it gets as 3, 4, ... `prelude` is run first, in the program's namespace.
    `readable` are paths of this machine that it may read, where they are; for those that only the caller's user
    may read, `own_user=False` lets it stay that user, without rights to more.
    """

    program: str
    stdin: bytes = b""
    limits: Limits = Limits()
    files: Mapping[str, bytes] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    channels: Sequence[int] = ()
    prelude: str = ""
    readable: tuple[str, ...] = ()
    own_user: bool = True
    name: str = "program.py"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended.

    `exit_code` is negative for a signal. `killed_by` says which limit ended it, if any. `seconds` are by the
    clock, `cpu_seconds` of its own, `memory` the most bytes that its main process held. `containment` names what
    was in force; `notes` what could not be had.
    """

    stdout: bytes
    stderr: bytes
    exit_code: int
    killed_by: Killer | None
    seconds: float
    cpu_seconds: float
    memory: int
    truncated: bool
    containment: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def timed_out(self) -> bool:
        """Whether it was ended for the time it took."""
        return self.killed_by in ("time", "cpu")

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, with exit code 0."""
        return self.exit_code == 0 and self.killed_by is None

    @property
    def text(self) -> str:
        """Its output, decoded; bytes that are no UTF-8 become U+FFFD."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def error_text(self) -> str:
        """Its stderr, decoded; bytes that are no UTF-8 become U+FFFD."""
        return self.stderr.decode("utf-8", "replace")


class Provider(Protocol):
    """Somewhere to run programs. Its methods raise `SandboxError` when the place itself fails."""

    def run(self, job: Job) -> Outcome:
        """Run to the end; blocks."""
        ...

    async def arun(self, job: Job) -> Outcome:
        """Run to the end without blocking the event loop; cancelling ends the program."""
        ...


@cache
def local() -> Provider:
    """The provider of this machine."""
    from verifiers.sandbox_local import LocalProvider

    return LocalProvider()


def _job(program: str, stdin: str | bytes, limits: Limits, files: Mapping[str, bytes] | None) -> Job:
    data = stdin.encode("utf-8", "surrogatepass") if isinstance(stdin, str) else stdin
    return Job(program, data, limits, dict(files or {}))


def run(
    program: str,
    *,
    stdin: str | bytes = "",
    limits: Limits = Limits(),
    files: Mapping[str, bytes] | None = None,
    provider: Provider | None = None,
) -> Outcome:
    """Run a program and wait for its end. Never raises on what the program is or does."""
    return (provider or local()).run(_job(program, stdin, limits, files))


async def arun(
    program: str,
    *,
    stdin: str | bytes = "",
    limits: Limits = Limits(),
    files: Mapping[str, bytes] | None = None,
    provider: Provider | None = None,
) -> Outcome:
    """`run` for the event loop."""
    return await (provider or local()).arun(_job(program, stdin, limits, files))
