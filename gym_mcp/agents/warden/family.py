"""All that a process has started, directly or not, and its end."""

from __future__ import annotations

import os
import signal
import time


def descendants(ancestor: int) -> list[int]:
    """Process ids below `ancestor`."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
    family = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sorted(family - {ancestor})


def end_descendants(seconds: float = 5.0) -> None:
    """Stop, then kill, whatever has this process as an ancestor; it must be one that adopts orphans.

    They are stopped first, so that none can start another between the look and the kill.
    """
    end = time.monotonic() + seconds
    seen: set[int] = set()
    while (found := set(descendants(os.getpid()))) != seen and time.monotonic() < end:
        seen = found
        _signal(found, signal.SIGSTOP)
    while time.monotonic() < end:
        _signal(descendants(os.getpid()), signal.SIGKILL)
        if not reap():
            return
        time.sleep(0.002)


def reap() -> bool:
    """Collect dead children; whether any child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _signal(pids: set[int] | list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
