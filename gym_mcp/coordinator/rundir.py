"""A run is a directory: manifest, tasks, rollouts, metrics. One process writes it at a time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson

from gym_mcp.coordinator.journal import replace_file
from gym_mcp.datasets import as_row
from gym_mcp.errors import UsageError
from gym_mcp.identity import DIGITS
from gym_mcp.types import JSONObject, Task

_LOCK: Final = ".lock"
_ORPHANS: Final = 10.0
"""Seconds that worker processes may take to die with their run."""
_STARTING: Final = (_LOCK, "tasks.jsonl", "tasks.jsonl.tmp", "manifest.json.tmp")
"""What a start that was killed before it wrote the manifest may leave behind."""


class RunDirectory:
    """The files of one run. `lock` before writing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest_path = path / "manifest.json"
        self.tasks_path = path / "tasks.jsonl"
        self.rollouts_path = path / "rollouts.jsonl"
        self.waiting_path = path / "rollouts.waiting.jsonl"
        self.metrics_path = path / "metrics.json"
        self._lock: int | None = None
        self._created = False

    @classmethod
    def new(cls, out: Path | None, name: str) -> RunDirectory:
        """The directory of a new run: `out`, or a fresh `runs/NAME-xxxxxx`. Readable by its owner only."""
        path = out or Path("runs") / f"{name}-{secrets.token_hex(3)}"
        created = not path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as e:
            raise UsageError(f"{path}: cannot be a run directory: {e.strerror}") from None
        directory = cls(path)
        directory._created = created
        if not directory.exists() and any(p.name not in _STARTING for p in path.iterdir()):
            raise UsageError(f"{path}: not empty and no run; choose another --out")
        return directory

    def discard(self) -> None:
        """Leave nothing of a run that could not start. For the holder of the lock."""
        if self.exists():
            return
        for name in _STARTING:
            (self.path / name).unlink(missing_ok=True)
        if self._created:
            with contextlib.suppress(OSError):  # somebody put something there
                self.path.rmdir()

    def undo(self) -> None:
        """Leave nothing of a new run that has not run anything. For the holder of the lock."""
        self.manifest_path.unlink(missing_ok=True)
        self.discard()

    @classmethod
    def existing(cls, path: Path) -> RunDirectory:
        """The directory of a run that was started before."""
        directory = cls(path)
        if not directory.exists():
            raise UsageError(f"{path}: no run there (no manifest.json)")
        return directory

    def exists(self) -> bool:
        return self.manifest_path.is_file()

    def lock(self) -> None:
        """Hold the run for this process. The kernel lets go of it when the process ends, however it ends.

        Worker processes that outlive a killed run hold it too, for the moment that they have left: that is waited
        for.
        """
        until = time.monotonic() + _ORPHANS
        while not self._take_lock():
            if self._holder_lives() or time.monotonic() > until:
                raise UsageError(f"{self.path}: another process is running this run; wait for it or stop it")
            time.sleep(0.02)

    def _take_lock(self) -> bool:
        path = self.path / _LOCK
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as e:
            raise UsageError(f"{path}: {e.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = not os.path.samestat(os.fstat(fd), path.stat())  # another run's start was undone meanwhile
        except OSError:
            taken = True
        if taken:
            os.close(fd)
            return False
        self._lock = fd
        with contextlib.suppress(OSError):  # a full disk: then nobody waits for orphans
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
        return True

    def _holder_lives(self) -> bool:
        """Whether the process that took the lock runs; True when that cannot be told."""
        try:
            os.kill(int((self.path / _LOCK).read_text()), 0)
        except ProcessLookupError:
            return False
        except (OSError, ValueError):
            return True
        return True

    @property
    def lock_descriptor(self) -> int | None:
        """For worker processes to hold the run, too: until the last of them is gone it stays locked."""
        return self._lock

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read_manifest(self) -> JSONObject:
        try:
            manifest: Any = orjson.loads(self.manifest_path.read_bytes())
        except (OSError, orjson.JSONDecodeError) as e:
            raise UsageError(f"{self.manifest_path}: unreadable: {e}") from None
        if not isinstance(manifest, dict) or manifest.get("schema") != 1:
            raise UsageError(f"{self.manifest_path}: not a manifest of this version (schema 1)")
        return manifest

    def write_manifest(self, manifest: JSONObject) -> None:
        write_json(self.manifest_path, manifest)

    def write_metrics(self, metrics: JSONObject) -> None:
        write_json(self.metrics_path, metrics)

    def write_tasks(self, tasks: Iterable[Task[Any]], limit: int | None = None) -> tuple[int, str]:
        """Materialize the tasks; (how many, digest). Nothing is left behind when one does not fit."""
        h = hashlib.sha256()
        count = 0

        def lines() -> Iterator[bytes]:
            nonlocal count
            for line in task_lines(tasks, limit):
                h.update(line)
                count += 1
                yield line

        replace_file(self.tasks_path, lines())
        return count, h.hexdigest()[:DIGITS]

    def tasks_digest(self) -> str:
        """Digest of `tasks.jsonl` as it is now."""
        h = hashlib.sha256()
        with self.tasks_path.open("rb") as file:
            while chunk := file.read(1 << 20):
                h.update(chunk)
        return h.hexdigest()[:DIGITS]

    def task_rows(self) -> Iterator[JSONObject]:
        """The materialized task rows, one at a time."""
        with self.tasks_path.open("rb") as file:
            for line in file:
                yield orjson.loads(line)


def task_lines(tasks: Iterable[Task[Any]], limit: int | None) -> Iterator[bytes]:
    """The lines of `tasks.jsonl`."""
    for task in islice(tasks, limit):
        yield orjson.dumps(as_row(task), default=str, option=orjson.OPT_APPEND_NEWLINE)


def digest_of_tasks(tasks: Iterable[Task[Any]], limit: int | None) -> str:
    """What `write_tasks` would give, without writing."""
    h = hashlib.sha256()
    for line in task_lines(tasks, limit):
        h.update(line)
    return h.hexdigest()[:DIGITS]


def write_json(path: Path, value: JSONObject | list[JSONObject]) -> None:
    """Write a JSON file atomically, readable by its owner only."""
    text = orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    replace_file(path, [text])
