"""Where a background server keeps what it needs to be found again: a folder of its own, its owner's alone."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from gym_mcp.coordinator.rundir import write_json
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject

_LONGEST_SOCKET: Final = 100
"""Bytes of a Unix socket's path that every system takes."""


def root() -> Path:
    """`$XDG_STATE_HOME/gym-mcp/connect`; the state folder is `~/.local/state` by default."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "gym-mcp" / "connect"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one server: one environment with its settings and tasks, for one user."""

    path: Path

    @classmethod
    def of(cls, environment: str, settings: JSONObject, source: Path | None) -> Home:
        """The folder for an environment; a file counts by its absolute path."""
        key = orjson.dumps([environment, settings, str(source)], option=orjson.OPT_SORT_KEYS)
        slug = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(environment).stem)[:40]
        return cls(root() / f"{slug}-{hashlib.sha256(key).hexdigest()[:10]}")

    @property
    def job_file(self) -> Path:
        return self.path / "job.json"

    @property
    def state_file(self) -> Path:
        return self.path / "state.json"

    @property
    def log_file(self) -> Path:
        return self.path / "server.log"

    @property
    def socket(self) -> Path:
        """The Unix socket through which the owner's commands reach the server; no network port leads to it."""
        path = self.path / "control.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET:
            return path
        short = Path(tempfile.gettempdir()) / f"gym-mcp-{os.getuid()}"
        return short / f"{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]}.sock"

    def make(self) -> None:
        """Make the folders; `UsageError` when one is somebody else's."""
        for folder in (self.path, self.socket.parent):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                found = folder.stat()
            except OSError as e:
                raise UsageError(f"{folder}: {e.strerror}") from None
            if found.st_uid != os.getuid() or found.st_mode & 0o077:
                raise UsageError(f"{folder}: it must be yours and closed to others (chmod 700)")

    def read(self, file: Path) -> JSONObject:
        """A JSON file of the folder; empty when it is absent or was torn."""
        with contextlib.suppress(OSError, orjson.JSONDecodeError):
            value: Any = orjson.loads(file.read_bytes())
            if isinstance(value, dict):
                return value
        return {}

    def write(self, file: Path, value: JSONObject) -> None:
        write_json(file, value)

    @property
    def seats(self) -> JSONObject:
        """The seats that its server had last, by name."""
        seats: JSONObject = self.read(self.state_file).get("seats", {})
        return seats

    def forget(self) -> None:
        """Keep nothing by which the server would be listed or started again; its log stays."""
        self.job_file.unlink(missing_ok=True)
        self.state_file.unlink(missing_ok=True)

    def is_running(self) -> bool:
        """Whether a server holds the folder. The kernel lets go of it when the process ends, however it ends."""
        if not (self.path / "server.lock").exists():
            return False
        with self._locked("server.lock", wait=False) as free:
            return not free

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the folder as its server; False when another one does."""
        with self._locked("server.lock", wait=False) as mine:
            yield mine

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Only one command starts a server at a time."""
        with self._locked("start.lock", wait=True):
            yield

    @contextlib.contextmanager
    def _locked(self, name: str, *, wait: bool) -> Iterator[bool]:
        descriptor = os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(descriptor)


def homes() -> list[Home]:
    """The folders of all servers that were ever started and not disconnected."""
    return [Home(file.parent) for file in sorted(root().glob("*/job.json"))]
