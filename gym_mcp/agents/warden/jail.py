"""An agent's own view of the machine: files by allow-list, its own processes, a network of a few ports."""

from __future__ import annotations

import contextlib
import os
import socket
import sys

from gym_mcp.agents.warden import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DEVICES = ("null", "zero", "full", "random", "urandom")
_TMP_BYTES = 2 << 30


def open_ports(ports: list[int], to_outside: socket.socket) -> None:
    """Listen on `ports` of this namespace's loopback and hand the sockets to whoever forwards them."""
    kernel.loopback_up()
    listeners = [_listen(port) for port in ports]
    socket.send_fds(to_outside, [b"!"], [listener.fileno() for listener in listeners])
    for listener in listeners:
        listener.close()


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    return listener


def build(jail: dict[str, Any]) -> None:
    """Make the file system that `jail` describes this process's own.

    `root`: an empty folder to build in. `readable`, `writable`: what is shown, at its own place. `links`: (target,
    place). `hidden`: folders below these that are shown empty. `files`: text by path.
    """
    root: str = jail["root"]
    kernel.mount("none", "/", flags=kernel.REC | kernel.PRIVATE)
    kernel.mount("tmpfs", root, "tmpfs", kernel.NOSUID | kernel.NODEV, f"size={_TMP_BYTES},mode=755")
    shown = [(path, False) for path in jail["readable"]] + [(path, True) for path in jail["writable"]]
    shown += [(f"/dev/{name}", True) for name in _DEVICES]
    for path, writable in sorted(shown):
        _make_place(path, root + path)
        kernel.bind(path, root + path, writable=writable)
    for path in jail["hidden"]:
        if os.path.isdir(root + path):
            flags = kernel.RDONLY | kernel.NOSUID | kernel.NODEV
            kernel.mount("tmpfs", root + path, "tmpfs", flags, "size=4k,mode=555")
    standard = [("/proc/self/fd", "/dev/fd"), ("pts/ptmx", "/dev/ptmx")]
    standard += [(f"/proc/self/fd/{n}", f"/dev/{name}") for n, name in enumerate(("stdin", "stdout", "stderr"))]
    for target, place in [*jail["links"], *standard]:
        os.makedirs(os.path.dirname(root + place), exist_ok=True)
        os.symlink(target, root + place)
    for path, text in jail["files"].items():
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        with open(root + path, "w", encoding="utf-8") as file:
            file.write(text)
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        os.makedirs(root + folder, exist_ok=True)
        os.chmod(root + folder, 0o1777)
    _special_mounts(root)
    kernel.pivot(root)


def _make_place(source: str, place: str) -> None:
    if os.path.isdir(source):
        os.makedirs(place, exist_ok=True)
    elif not os.path.exists(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o644))


def _special_mounts(root: str) -> None:
    for folder in ("/proc", "/dev/pts"):
        os.makedirs(root + folder, exist_ok=True)
    flags = kernel.NOSUID | kernel.NODEV | kernel.NOEXEC
    with contextlib.suppress(OSError):  # containers that mask their own /proc allow no other
        kernel.mount("proc", root + "/proc", "proc", flags)
    with contextlib.suppress(OSError):
        kernel.mount(
            "devpts", root + "/dev/pts", "devpts", kernel.NOSUID | kernel.NOEXEC, "newinstance,ptmxmode=0666"
        )


def become(uid: int | None) -> None:
    """Change to the user `uid` for good, where one is given."""
    kernel.no_new_privileges()
    kernel.no_capabilities()
    if uid is not None:
        for fd in (1, 2):
            os.fchown(fd, uid, uid)  # else it could not open its own /dev/stdout
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def possible() -> bool:
    """Whether this system permits the namespaces; tried in a child."""
    if sys.platform != "linux":
        return False
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if kernel.enter_namespaces():
                code = _try_mount()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _try_mount() -> int:
    inner = os.fork()
    if inner == 0:
        code = 1
        try:
            kernel.loopback_up()
            kernel.mount("none", "/", flags=kernel.REC | kernel.PRIVATE)
            kernel.mount("tmpfs", "/tmp", "tmpfs", kernel.NOSUID, "size=64k")
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
