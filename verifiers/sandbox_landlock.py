"""File access by allow-list (Landlock), for want of an own file system. Runs in the sandbox's process."""

from __future__ import annotations

import ctypes
import os

from verifiers.sandbox_kernel import libc

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_EXECUTE, _READ_FILE, _READ_DIR, _WRITE_FILE, _TRUNCATE = 1, 4, 8, 2, 1 << 14
_RIGHTS_BY_ABI = (0, (1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def restrict_files(readable: list[str], writable: list[str]) -> bool:
    """Allow this process to read below `readable`, and anything below `writable`; False where Landlock is off."""
    abi = libc.syscall(ctypes.c_long(_CREATE), None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if abi < 1:
        return False
    handled = _RIGHTS_BY_ABI[min(abi, 3)]
    rules = libc.syscall(
        ctypes.c_long(_CREATE), ctypes.byref(ctypes.c_uint64(handled)), ctypes.c_size_t(8), ctypes.c_uint32(0)
    )
    if rules < 0:
        return False
    for path in readable:
        _allow(rules, path, _EXECUTE | _READ_FILE | _READ_DIR)
    for path in writable:
        _allow(rules, path, handled)
    done = libc.syscall(ctypes.c_long(_RESTRICT), ctypes.c_int(rules), ctypes.c_uint32(0))
    os.close(rules)
    return bool(done == 0)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):
        rights &= _EXECUTE | _READ_FILE | _WRITE_FILE | _TRUNCATE
        if rights & _TRUNCATE and not rights & _WRITE_FILE:
            rights &= ~_TRUNCATE
    rule = _Beneath(rights, fd)
    kind_beneath = ctypes.c_int(1)
    libc.syscall(ctypes.c_long(_ADD), ctypes.c_int(rules), kind_beneath, ctypes.byref(rule), ctypes.c_uint32(0))
    os.close(fd)
