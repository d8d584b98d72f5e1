"""The watch over a sandboxed program: time, memory and disk; the report of its end; the end of what it leaves.

Runs in the sandbox's own process, as parent of the program.
"""

from __future__ import annotations

import os
import resource
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

SIGKILL, SIGSTOP, SIGXCPU = 9, 19, 24
"""Linux's numbers; `signal` itself is slow to import."""
_TICK = 0.05
"""Seconds between two looks at the memory and disk that all processes together use."""


class Supervisor:
    """Waits for one program. `own_pids`: whether this process is the first of a pid namespace."""

    def __init__(self, config: dict[str, Any], status: int, own_pids: bool) -> None:
        self.config = config
        self.limits: dict[str, Any] = config["limits"]
        self.status = status
        self.own_pids = own_pids

    def watch(self, program: int, control: int | None) -> NoReturn:
        """Wait for the program within its limits, report, and end everything."""
        started = time.monotonic()
        self.let_go_of_streams()
        poll = select.poll()
        poll.register(os.pidfd_open(program), select.POLLIN)
        if control is not None:
            poll.register(control, select.POLLHUP)
        killed = ""
        while not killed:
            left = started + self.limits["seconds"] - time.monotonic()
            if left <= 0:
                killed = "time"
                break
            events = dict(poll.poll(min(left, _TICK) * 1_000 + 1))
            if control in events:
                killed = "cancelled"
            elif events:
                break
            elif _memory_used(self.limits["memory"]):
                killed = "memory"
            elif control is not None and self.disk_used():
                killed = "disk"
        if killed:
            os.kill(program, SIGKILL)
        self.report(program, killed, started)

    def report(self, program: int, killed: str, started: float) -> NoReturn:
        _, code, usage = os.wait4(program, 0)
        seconds = time.monotonic() - started
        if not self.own_pids:
            self.end_descendants()
        exit_code = os.waitstatus_to_exitcode(code)
        cpu = usage.ru_utime + usage.ru_stime
        if not killed and -exit_code in (SIGXCPU, SIGKILL) and cpu >= self.limits["cpu_seconds"] - 0.5:
            killed = "cpu"
        line = f"exit {exit_code} {killed or '-'} {seconds:.6f} {cpu:.6f} {usage.ru_maxrss}\n"
        os.write(self.status, line.encode())
        os._exit(0)

    def let_go_of_streams(self) -> None:
        """The caller reads to the end of output: only the program may hold the writing ends."""
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        for fd in self.config["channels"]:
            os.close(fd)

    def disk_used(self) -> bool:
        """Whether the program has written more than it may."""
        size = count = 0
        for folder, _, names in os.walk(self.config["work"]):
            for name in names:
                count += 1
                try:
                    size += os.lstat(f"{folder}/{name}").st_blocks * 512
                except OSError:
                    continue
                if count > self.limits["files"] or size > self.limits["disk"]:
                    return True
        return False

    def end_descendants(self) -> None:
        """Stop, then kill, whatever has this process as an ancestor; orphans come to it."""
        for signal in (SIGSTOP, SIGKILL):
            for _ in range(50):
                found = _descendants(os.getpid())
                for pid in found:
                    try:
                        os.kill(pid, signal)
                    except ProcessLookupError:
                        continue
                if signal == SIGKILL and not _reap():
                    return
                if signal == SIGSTOP and set(found) == set(_descendants(os.getpid())):
                    break


def _reap() -> bool:
    """Collect dead children; whether there is any child left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    time.sleep(0.001)
    return True


def processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _descendants(ancestor: int) -> list[int]:
    parents: dict[int, int] = {}
    for pid in processes():
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                parents[pid] = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
    family = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sorted(family - {ancestor})


def _memory_used(limit: int) -> bool:
    """Whether all processes of the program together hold more than `limit` bytes."""
    me = os.getpid()
    pids = [p for p in processes() if p != 1] if me == 1 else _descendants(me)
    if len(pids) < 2:
        return False  # one process is held by its own limit
    page = resource.getpagesize()
    if sum(_first_number(f"/proc/{pid}/statm", 1) * page for pid in pids) <= limit:
        return False
    return sum(_proportional(pid) for pid in pids) > limit


def _first_number(path: str, field: int) -> int:
    try:
        with open(path, "rb") as file:
            return int(file.read().split()[field])
    except (OSError, IndexError, ValueError):
        return 0


def _proportional(pid: int) -> int:
    """Bytes of a process, what it shares counted in shares."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1_024
    except (OSError, ValueError):
        pass
    return 0
