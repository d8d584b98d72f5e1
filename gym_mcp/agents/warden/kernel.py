"""The Linux calls that Python does not have: namespaces, mounts, whose death ends whom."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from typing import Final

NEWNS: Final = 0x00020000
NEWUTS: Final = 0x04000000
NEWIPC: Final = 0x08000000
NEWUSER: Final = 0x10000000
NEWPID: Final = 0x20000000
NEWNET: Final = 0x40000000
NAMESPACES: Final = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET

RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_LOCKED: Final = ((2, NOSUID), (4, NODEV), (8, NOEXEC), (1024, 1024), (2048, 2048), (4096, 1 << 21))
"""(statvfs flag, mount flag): what a mount has, its remount in a user namespace must keep."""
_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}
_DETACH: Final = 2
_PDEATHSIG, _DUMPABLE, _CAPBSET_READ, _CAPBSET_DROP, _SUBREAPER, _NO_NEW_PRIVS = 1, 4, 23, 24, 36, 38
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 1

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> int:
    """`result`, or the `OSError` that the call left behind."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    check(libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero), "prctl")


def die_with_parent() -> None:
    _prctl(_PDEATHSIG, 9)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent is gone."""
    _prctl(_SUBREAPER, 1)


def be_ended_first() -> None:
    """Where memory gives out, have the kernel end this process and its descendants before all others."""
    with contextlib.suppress(OSError):
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("800")


def no_new_privileges() -> None:
    _prctl(_NO_NEW_PRIVS, 1)


def no_capabilities() -> None:
    """Whatever this process executes has none, root's programs among them."""
    number = 0
    while libc.prctl(_CAPBSET_READ, ctypes.c_ulong(number)) >= 0:
        _prctl(_CAPBSET_DROP, number)
        number += 1


def keep_memory_private() -> None:
    """Let nobody of the same user trace this process or read its memory."""
    _prctl(_DUMPABLE, 0)


def enter_namespaces() -> bool:
    """New namespaces for this process's children, through a user namespace where it takes one."""
    if libc.unshare(NAMESPACES) == 0:
        return True
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(NAMESPACES | NEWUSER) != 0:
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(fd, text.encode())
        os.close(fd)
    return True


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode() or None)
    check(libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() or None), f"mount {target}")


def bind(source: str, target: str, *, writable: bool = False) -> None:
    """Show `source` at `target`; without set-user-id programs, and read-only unless `writable`."""
    mount(source, target, flags=BIND | REC)
    have = os.statvfs(target).f_flag
    kept = sum(flag for seen, flag in _LOCKED if have & seen)
    mount("none", target, flags=BIND | REMOUNT | NOSUID | kept | (0 if writable else RDONLY))


def pivot(root: str) -> None:
    """Make `root` the file system; nothing of the old one is left."""
    os.chdir(root)
    here = b"."
    check(libc.syscall(ctypes.c_long(_PIVOT_ROOT[os.uname().machine]), here, here), "pivot_root")
    check(libc.umount2(here, _DETACH), "umount2")
    os.chdir("/")
