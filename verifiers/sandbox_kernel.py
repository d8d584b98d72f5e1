"""Linux containment by system call: namespaces, mounts, capabilities. Runs in the sandbox's own process.

Kept free of heavy imports: every run of a program pays for them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
NAMESPACES = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET

_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_LOCKED = ((2, _NOSUID), (4, _NODEV), (8, _NOEXEC), (1024, 1024), (2048, 2048), (4096, 1 << 21))
"""(statvfs flag, mount flag): what a mount has, its remount in a user namespace must keep."""
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_CHILD_SUBREAPER = 1, 38, 36
_PR_CAPBSET_DROP, _PR_SET_SECUREBITS = 24, 28
_NO_ROOT_LOCKED = 0b101111
_CAP_SETFCAP = 31
_SIGKILL = 9

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> int:
    """`result`, or the `OSError` that the call left behind."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def prctl(option: int, value: int = 0) -> None:
    check(
        libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)), "prctl"
    )


def die_with_parent() -> None:
    prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent is gone."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def no_new_privileges() -> None:
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def enter_namespaces() -> str:
    """New mount, pid, network, ipc and host name namespaces for this process's children.

    Returns `root` when privilege allowed it, `user` when it took a user namespace, and an empty string when the
    system permits neither.
    """
    if libc.unshare(NAMESPACES) == 0:
        return "root"
    uid, gid = os.getuid(), os.getgid()
    if uid == 0 and not _has_capability(_CAP_SETFCAP):  # its own map could not be written afterwards
        return ""
    if libc.unshare(NAMESPACES | CLONE_NEWUSER) != 0:
        return ""
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        _write(f"/proc/self/{name}", text)
    return "user"


def _has_capability(number: int) -> bool:
    with open("/proc/self/status", encoding="ascii") as file:
        held = next((int(line.split()[1], 16) for line in file if line.startswith("CapEff:")), 0)
    return bool(held >> number & 1)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def last_to_be_spared() -> None:
    """When memory runs out, the kernel shall take this process before any other."""
    _write("/proc/self/oom_score_adj", "1000")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode() or None)
    check(libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() or None), f"mount {target}")


def bind(source: str, target: str) -> None:
    """Show `source` at `target`, read-only."""
    mount(source, target, flags=_BIND | _REC)
    have = os.statvfs(target).f_flag
    kept = sum(flag for seen, flag in _LOCKED if have & seen)
    mount("none", target, flags=_BIND | _REMOUNT | _RDONLY | _NOSUID | kept)


def build_root(
    root: str, binds: list[tuple[str, str]], links: list[tuple[str, str]], masks: list[str], size: int, nodes: int
) -> None:
    """Make `root` the file system: a tmpfs of `size` bytes with `binds` read-only; nothing else is left.

    `masks` are directories below a bind that are shown empty. `/work`, `/tmp` and `/dev/shm` are writable.
    """
    mount("none", "/", flags=_REC | _PRIVATE)
    options = f"size={size},nr_inodes={nodes + 500},mode=755"
    mount("tmpfs", root, "tmpfs", _NOSUID | _NODEV, options)
    devices = [(f"/dev/{name}", f"/dev/{name}") for name in ("null", "zero", "random", "urandom")]
    for source, target in binds + devices:
        place = root + target
        if os.path.isdir(source):
            os.makedirs(place, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o644))
        bind(source, place)
    for mask in masks:
        if os.path.isdir(root + mask):
            mount("tmpfs", root + mask, "tmpfs", _RDONLY | _NOSUID | _NODEV, "size=4k,mode=555")
    standard = [("/proc/self/fd", "/dev/fd")]
    standard += [(f"/proc/self/fd/{n}", f"/dev/{name}") for n, name in enumerate(("stdin", "stdout", "stderr"))]
    for source, target in links + standard:
        os.makedirs(os.path.dirname(root + target), exist_ok=True)
        os.symlink(source, root + target)
    for folder in ("/work", "/tmp", "/dev/shm"):
        os.makedirs(root + folder, exist_ok=True)
        os.chmod(root + folder, 0o1777)
    os.mkdir(root + "/proc")
    with contextlib.suppress(OSError):  # containers that mask their own /proc allow no other
        mount("proc", root + "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    _pivot(root)


def _pivot(root: str) -> None:
    os.chdir(root)
    here = b"."
    check(libc.syscall(ctypes.c_long(_PIVOT_ROOT[os.uname().machine]), here, here), "pivot_root")
    check(libc.umount2(here, _DETACH), "umount2")
    os.chdir("/work")


def become_nobody_special() -> None:
    """Give up all capabilities, for good. Does nothing where there are none to give up."""
    if os.geteuid() != 0:
        return
    for capability in range(64):
        if libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) != 0:
            break
    with contextlib.suppress(OSError):  # no_new_privileges says the same, later
        prctl(_PR_SET_SECUREBITS, _NO_ROOT_LOCKED)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    check(libc.capset(header, data), "capset")


def become_another(pid: int) -> bool:
    """Change to a user that nobody else is, made from `pid`; whether that was possible."""
    if os.geteuid() != 0:
        return False
    try:
        os.setgroups([])
    except OSError:
        return False
    for base, span in ((1 << 20, 1 << 22), (20_000, 40_000)):  # a container may map 65,536 users only
        own = base + pid % span
        try:
            os.setresgid(own, own, own)
            os.setresuid(own, own, own)
        except OSError:
            continue
        return True
    return False
