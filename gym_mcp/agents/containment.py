"""What a contained agent sees of this machine; `docs/security.md` says what that keeps from it."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from gym_mcp import hub
from gym_mcp.agents.package import Installed
from gym_mcp.agents.place import Place
from gym_mcp.agents.process import Jail

_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC: Final = (
    "alternatives ca-certificates ca-certificates.conf ssl pki ld.so.cache ld.so.conf ld.so.conf.d localtime "
    "mime.types nsswitch.conf protocols services timezone"
).split()
_UIDS: Final = ((1 << 20, 1 << 16), (20_000, 40_000))  # a container may map 65,536 users only
_numbers = itertools.count(os.getpid())


def jail_of(place: Place, installed: Installed, ports: Sequence[int]) -> Jail:
    """The jail of one rollout. As root, the agent becomes a user that nobody else is."""
    uid = _another_user(place)
    readable, links = _system()
    program = installed.program
    wanted = [*installed.folders, Path(sys.base_prefix), program, program.resolve()]
    shown = {str(path.resolve()) for path in wanted if path.exists() and not _holds_ours(path.resolve())}
    readable += sorted(path for path in shown if not _below(path, readable))
    hidden = [str(root / folder) for root in hub.roots() for folder, _ in hub.FOLDERS.values()]
    hidden.append(str(Path.cwd()))
    me, group = (uid, uid) if uid is not None else (os.getuid(), os.getgid())
    return Jail(
        root=str(place.root / "root"),
        readable=readable,
        writable=[str(place.shown)],
        hidden=[path for path in hidden if _below(path, readable)],
        links=links,
        files=_files(me, group, place.home),
        ports=sorted(set(ports)),
        uid=uid,
    )


def _system() -> tuple[list[str], list[tuple[str, str]]]:
    links = [(os.readlink(path), path) for path in _SYSTEM if os.path.islink(path)]
    folders = [path for path in _SYSTEM if os.path.isdir(path) and not os.path.islink(path)]
    return [*folders, *(f"/etc/{name}" for name in _ETC if os.path.exists(f"/etc/{name}"))], links


def _holds_ours(folder: Path) -> bool:
    """Whether our home or current folder lie in `folder`, such as the parent of `~/bin`."""
    return any(ours.is_relative_to(folder) for ours in (Path.home().resolve(), Path.cwd()))


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def _files(uid: int, gid: int, home: Path) -> dict[str, str]:
    return {
        "/etc/passwd": f"root:x:0:0:root:/:/bin/sh\nagent:x:{uid}:{gid}:agent:{home}:/bin/sh\n",
        "/etc/group": f"root:x:0:\nagent:x:{gid}:\n",
        "/etc/hosts": "127.0.0.1 localhost\n",
        "/etc/resolv.conf": "",
    }


def _another_user(place: Place) -> int | None:
    """A user id for this rollout alone; None where we are not root."""
    if os.geteuid() != 0:
        return None
    number = next(_numbers)
    for base, span in _UIDS:
        try:
            os.chown(place.shown, base + number % span, base + number % span)
        except OSError:
            continue
        return base + number % span
    return None
