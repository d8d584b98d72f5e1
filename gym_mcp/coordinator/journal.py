"""The append-only record of rollouts: one JSON line each, written when the rollout ends, safe against any crash.

Each row goes to the kernel in one `write` before the rollout counts as done: a killed process loses nothing of it.
The disk is synced once a second and at the end: a power cut may lose the last second, which resume runs again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from gym_mcp.errors import GymError, UsageError
from gym_mcp.types import JSONObject

SYNC_EVERY: Final = 1.0
_CHUNK: Final = 1 << 20
_FIELDS: Final = frozenset({"task_id", "task_index", "repeat", "outcome"})


class DiskError(GymError):
    """A file of the run directory cannot be written (disk full, read-only)."""


class JournalError(DiskError):
    """The run had to stop because of the disk. What was journalled before is safe."""


class DamagedJournal(UsageError):
    """A line inside the journal is no rollout: something else changed the file."""


class Journal:
    """The writer of `rollouts.jsonl`. One process at a time: the run directory's lock sees to that."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as e:
            raise JournalError(f"{path}: {e.strerror}") from None
        self._size = os.fstat(self._fd).st_size
        self._dirty = False
        self._syncer: asyncio.Task[None] | None = None

    def append(self, *rows: JSONObject) -> None:
        """Write rows, all or none: on failure the file is cut back to what it was and `JournalError` raised.

        `ValueError` or `RecursionError` for a row that no JSON can hold (it contains itself, is nested too deep).
        """
        line = memoryview(b"".join(map(line_of, rows)))
        written = 0
        try:
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError as e:
            with contextlib.suppress(OSError):  # nothing better can be done; resume repairs a torn tail
                os.ftruncate(self._fd, self._size)
            raise JournalError(f"{self.path}: {e.strerror}") from None
        self._size += len(line)
        self._dirty = True

    def start_syncing(self) -> None:
        """Sync in the background until `aclose`."""
        self._syncer = asyncio.get_running_loop().create_task(self._sync_forever())

    async def _sync_forever(self) -> None:
        while True:
            await asyncio.sleep(SYNC_EVERY)
            if self._dirty:
                self._dirty = False
                with contextlib.suppress(OSError):  # the next append will tell
                    await asyncio.to_thread(os.fdatasync, self._fd)

    async def aclose(self) -> None:
        """Stop syncing in the background, sync and close."""
        if self._syncer is not None:
            self._syncer.cancel()
            await asyncio.gather(self._syncer, return_exceptions=True)
        self.close()

    def close(self) -> None:
        """Sync and close."""
        with contextlib.suppress(OSError):
            os.fsync(self._fd)
        os.close(self._fd)


def line_of(row: JSONObject) -> bytes:
    """A row as its line of the journal. What JSON cannot carry becomes text."""
    try:
        return orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # integers past 64 bits, lone surrogates, keys that are no strings
        text = json.dumps(row, default=str, skipkeys=True)
    value = json.loads(text, parse_constant=lambda _: None)
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def read_rows(path: Path) -> Iterator[JSONObject]:
    """Rows of a journal in order. A torn last line is skipped; any other broken line raises `DamagedJournal`."""
    for _, row in scan(path):
        if row is not None:
            yield row


def scan(path: Path) -> Iterator[tuple[int, JSONObject | None]]:
    """(end offset, row) of each line; the row is None for a torn last line."""
    if not path.exists():
        return
    offset = 0
    with path.open("rb", buffering=_CHUNK) as file:
        for number, line in enumerate(file, 1):
            end = offset + len(line)
            row = parse_line(line)
            if row is None and line.endswith(b"\n"):
                raise DamagedJournal(
                    f"{path}:{number}: not a rollout; something else changed the file: remove that line"
                )
            yield offset if row is None else end, row
            offset = end


def parse_line(line: bytes) -> JSONObject | None:
    """A line as a rollout row; None when it is none."""
    try:
        row: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return row if isinstance(row, dict) and _FIELDS <= row.keys() else None


def repair(path: Path) -> int:
    """Cut a torn last line off, or end it when only its newline is missing; bytes cut."""
    if not path.exists():
        return 0
    size = path.stat().st_size
    end, whole = 0, True
    for end, row in scan(path):  # noqa: B007 - the last pair is wanted
        whole = row is not None
    if not whole:
        os.truncate(path, end)
        return size - end
    try:
        with path.open("rb+") as file:
            if size and (file.seek(size - 1), file.read(1))[1] != b"\n":
                file.write(b"\n")
    except OSError as e:
        raise JournalError(f"{path}: {e.strerror}") from None
    return 0


def rewrite(path: Path, rows: Iterator[JSONObject]) -> None:
    """Replace the journal atomically."""
    replace_file(path, map(line_of, rows))


def replace_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file anew, readable by its owner only: whole, or left as it was and `DiskError`."""
    scratch = path.with_name(f"{path.name}.tmp")
    try:
        with scratch.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except BaseException as e:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
        if isinstance(e, OSError):
            raise DiskError(f"{path}: {e.strerror}") from None
        raise
