"""Holds one agent: starts it, forwards to it, waits for it, and ends it with everything that came from it.

Started as `python -I -S -c ... CONTROL STATUS`, two descriptors. A line of JSON on the first says what to run; its
end of file means that nobody wants the agent any more, which is also what happens when the coordinator is killed.
One line of JSON on the second says how the agent ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time

from gym_mcp.agents.warden import family, jail, kernel
from gym_mcp.agents.warden.forward import forward

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

BROKEN = 125
"""Exit code of a warden that could not start its agent."""


def main() -> NoReturn:
    """Run to the agent's end; never returns."""
    control, status = int(sys.argv[1]), int(sys.argv[2])
    for fd in (control, status):
        os.set_inheritable(fd, False)  # the agent must neither keep them open nor write to them
    config = _read_line(control)
    kernel.adopt_orphans()
    kernel.be_ended_first()
    os.dup2(os.open(config["stdin"], os.O_RDONLY), 0)  # before the agent's own view of files hides it
    started = time.monotonic()
    child = _start_jailed(config, status) if config.get("jail") else _start(config)
    kernel.keep_memory_private()
    _let_go_of_streams()
    try:
        _watch(child, control, config["grace"])
        if not config.get("jail"):
            report(status, child, started)
    finally:
        family.end_descendants()
        os._exit(0)


def _read_line(fd: int) -> dict[str, Any]:
    data = b""
    while not data.endswith(b"\n"):
        part = os.read(fd, 65_536)
        if not part:
            os._exit(BROKEN)
        data += part
    config: dict[str, Any] = json.loads(data)
    return config


def _start(config: dict[str, Any], uid: int | None = None) -> int:
    """Fork and execute the agent, in a session of its own; its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if config.get("jail"):
            jail.become(uid)
        kernel.die_with_parent()  # after the change of user, which would undo it
        os.chdir(config["cwd"])
        os.execve(config["argv"][0], config["argv"], config["env"])
    except BaseException as e:
        os.write(2, f"cannot start {config['argv'][0]}: {e}\n".encode())
        os._exit(BROKEN)


def _start_jailed(config: dict[str, Any], status: int) -> int:
    """Start the agent in namespaces; the process that holds them, whose end is theirs."""
    outside, inside = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        outside.close()
        try:
            kernel.die_with_parent()
            if not kernel.enter_namespaces():
                raise OSError("namespaces are not permitted here")
            first = os.fork()
            if first == 0:
                _first_process(config, status, inside)
            inside.close()
            _let_go_of_streams()
            signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGTERM))
            _wait(first)
        except BaseException as e:
            _say(status, {"error": f"containment failed: {e}"})
        os._exit(0)
    inside.close()
    try:
        _, fds, _, _ = socket.recv_fds(outside, 1, 8)
    except OSError:
        fds = []
    forward([socket.socket(fileno=fd) for fd in fds])
    return pid


def _first_process(config: dict[str, Any], status: int, outside: socket.socket) -> NoReturn:
    """Process 1 of the agent's namespace: the end of it ends all of them."""
    try:
        kernel.die_with_parent()
        started = time.monotonic()
        jail.open_ports(config["jail"]["ports"], outside)
        outside.close()
        jail.build(config["jail"])
        kernel.keep_memory_private()
        child = _start(config, config["jail"]["uid"])
        _let_go_of_streams()
        signal.signal(signal.SIGTERM, lambda *_: _signal_group(child, signal.SIGTERM))
        report(status, child, started)
    except BaseException as e:
        _say(status, {"error": f"containment failed: {e}"})
    os._exit(0)


def _watch(child: int, control: int, grace: float) -> None:
    """Until the child has ended by itself, or has been ended because nobody wants it any more."""
    unwanted_r, unwanted_w = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(unwanted_w, b"!"))
    ended = os.pidfd_open(child)
    poll = select.poll()
    for fd in (ended, control, unwanted_r):
        poll.register(fd, select.POLLIN)
    if any(fd == ended for fd, _ in poll.poll()):
        return
    poll.unregister(control)
    poll.unregister(unwanted_r)
    _signal_group(child, signal.SIGTERM)
    if not poll.poll(grace * 1_000):
        _signal_group(child, signal.SIGKILL)
        poll.poll(5_000)


def _signal_group(leader: int, number: int) -> None:
    for send in (os.killpg, os.kill):
        try:
            send(leader, number)
        except (ProcessLookupError, PermissionError):
            continue
        return


def _wait(pid: int) -> tuple[int, Any]:
    """(exit status, what it used) of a child; strangers that were adopted are collected on the way."""
    while True:
        found, code, usage = os.wait4(-1, 0)
        if found == pid:
            return code, usage


def report(status: int, child: int, started: float) -> None:
    """Say how the child ended: `exit` (negative: a signal), seconds of time and processor, peak KiB."""
    code, usage = _wait(child)
    end = {
        "exit": os.waitstatus_to_exitcode(code),
        "seconds": round(time.monotonic() - started, 3),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_kib": usage.ru_maxrss,
    }
    _say(status, end)


def _say(status: int, what: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # whoever wanted to know may be gone
        os.write(status, json.dumps(what).encode() + b"\n")


def _let_go_of_streams() -> None:
    """Whoever reads the agent's output reads to its end: only the agent may hold the writing ends."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
