"""A system call filter (seccomp, classic BPF) for sandboxed programs: no sockets but local ones, no new
namespaces, no memory that no limit counts, no tracing. Runs in the sandbox's own process.
"""

from __future__ import annotations

import ctypes
import os
import struct

from verifiers.sandbox_kernel import check, libc

_X86 = 0xC000003E
_ARM = 0xC00000B7
_DENIED: dict[str, tuple[int, int]] = {
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "open_by_handle_at": (304, 265),
    "pidfd_getfd": (438, 438),
}
"""Number on x86-64 and on arm64."""
_SIGNALS = {"kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138)}
_SIGNALS |= {"rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424)}
_SOCKET, _CLONE, _CLONE3 = (41, 198), (56, 220), 435
_X86_FORK, _X86_VFORK = 57, 58
_AF_UNIX = 1
_CLONE_NEW = 0x7E020000
"""All CLONE_NEW* flags."""
_CLONE_THREAD = 0x10000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM, _ENOSYS = 1, 38
_ARCH, _NUMBER, _ARGUMENT = 4, 0, 16
"""Offsets in `struct seccomp_data`; arguments are 8 bytes each, of which the low 4 are looked at."""


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _refuse(number: int, errno: int) -> bytes:
    return _step(_EQUAL, number, 0, 1) + _step(_RETURN, _ERRNO | errno)


def _guarded(number: int, test: bytes) -> bytes:
    """Allow `number` if `test` passes on its first argument (it skips one step to say so), else refuse it."""
    body = _step(_LOAD, _ARGUMENT) + test + _step(_RETURN, _ERRNO | _EPERM) + _step(_RETURN, _ALLOW)
    return _step(_EQUAL, number, 0, len(body) // 8) + body


def program(machine: str, only_signal: int | None = None, forks: bool = True) -> bytes:
    """The filter as BPF code.

    With `only_signal`, that process is the only one that may be sent signals; without `forks`, threads are all
    that may be started.
    """
    column = ("x86_64", "aarch64").index(machine)
    code = _step(_LOAD, _ARCH) + _step(_EQUAL, (_X86, _ARM)[column], 1, 0) + _step(_RETURN, _KILL)
    code += _step(_LOAD, _NUMBER)
    if machine == "x86_64":  # the x32 calls would go round the list
        code += _step(_AT_LEAST, 0x40000000, 0, 1) + _step(_RETURN, _ERRNO | _ENOSYS)
    code += _refuse(_CLONE3, _ENOSYS)  # its flags lie in memory, out of reach; libc falls back to clone
    for numbers in _DENIED.values():
        code += _refuse(numbers[column], _EPERM)
    if only_signal is not None:
        for numbers in _SIGNALS.values():
            code += _guarded(numbers[column], _step(_EQUAL, only_signal, 1, 0))
    code += _guarded(_SOCKET[column], _step(_EQUAL, _AF_UNIX, 1, 0))
    if not forks:
        if machine == "x86_64":
            code += _refuse(_X86_FORK, _EPERM) + _refuse(_X86_VFORK, _EPERM)
        code += _guarded(_CLONE[column], _step(_ANY_BIT, _CLONE_THREAD, 1, 0))
    code += _guarded(_CLONE[column], _step(_ANY_BIT, _CLONE_NEW, 0, 1))
    return code + _step(_RETURN, _ALLOW)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def install(only_signal: int | None = None, forks: bool = True) -> bool:
    """Put the filter on this process and all its children to come; False where there is none for the machine."""
    machine = os.uname().machine
    if machine not in ("x86_64", "aarch64"):
        return False
    code = program(machine, only_signal, forks)
    filters = _Program(len(code) // 8, code)
    prctl_set_seccomp, filter_mode = 22, 2
    try:
        check(libc.prctl(prctl_set_seccomp, filter_mode, ctypes.byref(filters), 0, 0), "seccomp")
    except OSError:
        return False
    return True
