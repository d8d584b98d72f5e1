"""A journal that several processes append to: whole rows, one writer at a time, whoever dies in between.

A kernel lock on the file orders the writers and goes when its holder goes. A write of more than a page can be cut
short by a kill, so whoever appends next first mends the tail.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from gym_mcp.coordinator.journal import Journal, JournalError, line_of, parse_line
from gym_mcp.types import JSONObject

_BLOCK: Final = 1 << 16


class SharedJournal(Journal):
    """One process's access to a journal. `end` is where its last append ended."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.end = self._size

    def append(self, *rows: JSONObject) -> None:
        """As `Journal.append`, beside other writers."""
        self.write(map(line_of, rows))

    def write(self, lines: Iterable[bytes]) -> None:
        """Append rows that are lines already, all or none. Raises `JournalError`."""
        line = memoryview(b"".join(lines))
        try:
            with self._alone():
                size = self._mended()
                try:
                    written = 0
                    while written < len(line):
                        written += os.write(self._fd, line[written:])
                except OSError:
                    with contextlib.suppress(OSError):  # nothing better can be done; the next writer mends it
                        os.ftruncate(self._fd, size)
                    raise
        except OSError as e:
            raise JournalError(f"{self.path}: {e.strerror}") from None
        self.end = size + len(line)
        self._dirty = True

    def size(self) -> int:
        """Bytes of whole rows."""
        with self._alone():
            return self._mended()

    def touched(self) -> None:
        """Another process appended: the next sync is due."""
        self._dirty = True

    def rows_since(self, offset: int) -> Iterator[JSONObject]:
        """Whole rows from `offset`, which is the start of a line, to the end."""
        with self._alone():
            end = self._mended()
        with self.path.open("rb") as file:
            file.seek(offset)
            while file.tell() < end and (line := file.readline()):
                row = parse_line(line)
                if row is not None:
                    yield row

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _mended(self) -> int:
        """Size of the file, a dead writer's half row cut off or its missing newline added."""
        size = os.fstat(self._fd).st_size
        if not size or os.pread(self._fd, 1, size - 1) == b"\n":
            return size
        tail = self._tail(size)
        if parse_line(tail) is not None:
            os.write(self._fd, b"\n")
            return size + 1
        os.ftruncate(self._fd, size - len(tail))
        return size - len(tail)

    def _tail(self, size: int) -> bytes:
        """What follows the last newline."""
        tail, start = b"", size
        while start and b"\n" not in tail:
            step = min(_BLOCK, start)
            start -= step
            tail = os.pread(self._fd, step, start) + tail
        return tail.rpartition(b"\n")[2]
