"""Where a run's control socket is, and which runs of this user there are."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NAME: Final = "control.sock"
LONGEST: Final = 100
"""Bytes of a socket's path that every system takes."""
_RUN: Final = ".run"


def runtime_folders() -> Iterator[Path]:
    """Where short paths may be: `$XDG_RUNTIME_DIR/gym-mcp`, else in the folder for temporary files."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and os.path.isabs(base):
        yield Path(base) / "gym-mcp"
    yield Path(tempfile.gettempdir()) / f"gym-mcp-{os.getuid()}"


def own_folder() -> Path | None:
    """The first of them that is ours and closed to others, made if need be; None when there is none."""
    for folder in runtime_folders():
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            if _is_ours(folder):
                return folder
    return None


def _is_ours(folder: Path) -> bool:
    found = folder.lstat()
    return folder.is_dir() and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _key(run: Path) -> str:
    return hashlib.sha256(os.fsencode(run.resolve())).hexdigest()[:16]


def socket_of(run: Path) -> Path:
    """The socket of the run in `run`: in its folder, or where the link there leads."""
    return Path(os.path.realpath(run / NAME))


def bind(run: Path) -> tuple[socket.socket, list[Path]]:
    """A socket that listens for the run in `run`, and the files to remove with it.

    For the holder of the run's lock: a socket that is there was left by a run that was killed. Raises `OSError`.
    """
    shown = run.resolve() / NAME
    shown.unlink(missing_ok=True)
    if len(os.fsencode(shown)) <= LONGEST:
        with contextlib.suppress(OSError):  # a file system without sockets
            return _listen(shown), [shown]
    folder = own_folder()
    if folder is None:
        raise OSError("the run directory takes no socket, and no folder for short paths is yours alone")
    short = folder / f"{_key(run)}.sock"
    short.unlink(missing_ok=True)
    sock = _listen(short)
    shown.symlink_to(short)
    return sock, [shown, short]


def _listen(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(str(path))
        os.chmod(path, 0o600)  # before it listens, so that nobody else can have connected
        sock.listen(16)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def register(run: Path) -> list[Path]:
    """Have `gym-mcp top` find the run from everywhere; the file to remove at its end, if one could be made."""
    folder = own_folder()
    if folder is None:
        return []
    entry = folder / f"{_key(run)}{_RUN}"
    with contextlib.suppress(OSError):
        entry.unlink(missing_ok=True)
        entry.symlink_to(run.resolve())
        return [entry]
    return []


def known_runs(here: Path) -> dict[Path, Path | None]:
    """Folders of runs that may be running: below `here`, and those that are registered, with their entries."""
    found: dict[Path, Path | None] = {path.parent.resolve(): None for path in sorted(here.glob(f"*/{NAME}"))}
    for folder in runtime_folders():
        with contextlib.suppress(OSError):
            if _is_ours(folder):
                for entry in sorted(folder.glob(f"*{_RUN}")):
                    found[Path(os.path.realpath(entry))] = entry
    return found


def is_locked(run: Path) -> bool:
    """Whether a process holds the run, as far as the system tells; asked without touching the lock."""
    with contextlib.suppress(OSError):
        found = (run / ".lock").stat()
        place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
        return any("FLOCK" in line and place in line.split() for line in locks)
    return False
