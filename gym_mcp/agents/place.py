"""A rollout's own home, working folder and temporary folder, and the clean environment that goes with them."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SYSTEM_PATH: Final = ("/usr/local/bin", "/usr/bin", "/bin")
_KEPT: Final = ("TZ",)
"""Variables of ours that an agent may have. Everything else is ours alone: keys, proxies, tokens."""
_MAX_FILE: Final = 256 * 1024 * 1024
"""Bytes that are read of a file of an agent's."""


@dataclass(frozen=True, slots=True)
class Place:
    """Folders of one rollout. The agent sees all of them but `root`'s other entries."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "agent" / "home"

    @property
    def work(self) -> Path:
        """Its current folder: empty at the start."""
        return self.root / "agent" / "work"

    @property
    def bin(self) -> Path:
        """First on its PATH."""
        return self.root / "agent" / "bin"

    @property
    def shown(self) -> Path:
        """What a contained agent sees of this place."""
        return self.root / "agent"

    @property
    def stdin(self) -> Path:
        return self.root / "stdin"

    def write(self, path: Path, text: str, *, executable: bool = False) -> Path:
        """Write a file that only the agent's user can read; it may hold a key."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        if executable:
            path.chmod(0o700)
        return path

    @staticmethod
    def read(path: Path) -> bytes:
        """A file that the agent has written; empty for none. Whatever it may have put there instead is not read:
        a link shows what it may not see itself, a pipe never ends."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return b""
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return b""
            with open(fd, "rb", closefd=False) as file:
                return file.read(_MAX_FILE)
        finally:
            os.close(fd)

    def environment(self, program: Path) -> dict[str, str]:
        """A clean environment for `program`, made of nothing that this process has."""
        temporary = str(self.root / "agent" / "tmp")
        path = dict.fromkeys((str(self.bin), str(program.parent), *_SYSTEM_PATH))
        return {
            "PATH": os.pathsep.join(path),
            "HOME": str(self.home),
            "USER": "agent",
            "LOGNAME": "agent",
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "TMPDIR": temporary,
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "XDG_DATA_HOME": str(self.home / ".local" / "share"),
            "XDG_STATE_HOME": str(self.home / ".local" / "state"),
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
        }

    def give_to(self, uid: int) -> None:
        """Make the agent's folders the property of another user. Needs root."""
        for folder, _, names in os.walk(self.shown):
            os.chown(folder, uid, uid)
            for name in names:
                os.chown(os.path.join(folder, name), uid, uid, follow_symlinks=False)


@contextmanager
def new_place() -> Iterator[Place]:
    """A place for one rollout; it is gone afterwards."""
    place = Place(Path(tempfile.mkdtemp(prefix="gym-mcp-agent-")))
    try:
        for folder in (place.home, place.work, place.bin, place.root / "agent" / "tmp", place.root / "root"):
            folder.mkdir(parents=True)
        yield place
    finally:
        shutil.rmtree(place.root, ignore_errors=True)
