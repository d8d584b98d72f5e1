"""The file of `--record`: whole lines at its end, whoever else appends to it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where one process serves
    fcntl = None  # type: ignore[assignment]


def append(path: Path, lines: bytes) -> None:
    """Append whole lines. Half a line that a killed process left stays one of its own."""
    with path.open("a+b", buffering=0) as file, _alone(file.fileno()) as regular:
        descriptor = file.fileno()
        size = os.fstat(descriptor).st_size if regular else 0
        rest = memoryview(lines)
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            rest = memoryview(b"\n" + lines)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


@contextlib.contextmanager
def _alone(descriptor: int) -> Iterator[bool]:
    """Keep other writers away from a regular file meanwhile; whether it is one."""
    regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    if fcntl is not None and regular:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # closing the file lets it go
    yield regular
