"""The sandbox's side of input and output tests: runs a program once per input, each time in a fork of this.

One sandbox for many inputs, as a sandbox costs ten times a fork. What a run may do to this process gains it
nothing: all that could be forged is what it printed, and no expected output ever comes here.

Inputs come as JSON lines on descriptor 3, the result of each goes to 4.
"""

from __future__ import annotations

import json
import os
import resource
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

_CHUNK = 65_536
_KEPT = 2_000
"""Characters of stderr that are passed on."""
_SIGKILL, _SIGXCPU = 9, 24


class Run:
    """One run of the program, as its parent sees it."""

    def __init__(self, pid: int, pipes: tuple[int, int], plan: dict[str, Any]) -> None:
        self.pid = pid
        self.plan = plan
        self.kept = {fd: bytearray() for fd in pipes}
        self.killed: str | None = None

    def result(self) -> dict[str, Any]:
        """Read until the run ends or passes a limit; what came of it."""
        ended = os.pidfd_open(self.pid)
        poll = select.poll()
        for fd in (*self.kept, ended):
            poll.register(fd, select.POLLIN)
        deadline = time.monotonic() + self.plan["seconds"]
        running = True
        while running and self.killed is None:
            left = deadline - time.monotonic()
            events = [fd for fd, _ in poll.poll(max(left, 0) * 1_000)]
            if not events:
                self.killed = "time"
            running = ended not in events
            for fd in events:
                if fd != ended and not self.read(fd):
                    poll.unregister(fd)
        os.close(ended)
        return self.end()

    def read(self, fd: int) -> bool:
        """Take what is there; False at the end of the stream."""
        data = os.read(fd, _CHUNK)
        self.kept[fd] += data
        if len(self.kept[fd]) > self.plan["output"]:
            self.killed = "output"
        return bool(data)

    def end(self) -> dict[str, Any]:
        if self.killed is not None:
            os.kill(self.pid, _SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        for fd in self.kept:
            os.set_blocking(fd, False)  # a child of the run's may hold the other end for ever
            try:
                while self.killed is None and self.read(fd):
                    pass
            except BlockingIOError:
                pass
            os.close(fd)
        if self.killed is None and code in (-_SIGXCPU, -_SIGKILL):
            self.killed = "cpu"
        out, err = (bytes(data).decode("utf-8", "replace") for data in self.kept.values())
        return {"exit": code, "killed": self.killed, "stdout": out, "stderr": err[-_KEPT:]}


def become_run(stdin: str, pipes: list[int], plan: dict[str, Any]) -> None:
    """The child's part: stdin from a file without a name, stdout and stderr to the pipes, nothing else open."""
    os.setsid()
    with open("stdin", "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        file.write(stdin)
    source = os.open("stdin", os.O_RDONLY)
    os.unlink("stdin")
    for fd, target in ((source, 0), (pipes[1], 1), (pipes[3], 2)):
        os.dup2(fd, target)
    os.closerange(3, 65_536)
    cpu = int(plan["cpu_seconds"]) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))


def empty(folder: str) -> None:
    """Remove what earlier runs have left."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            os.chmod(entry.path, 0o700)
            empty(entry.path)
            os.rmdir(entry.path)
        else:
            os.unlink(entry.path)


def serve(plan: dict[str, Any]) -> bool:
    """Run the program on each input. True in a child, which shall be the program now."""
    with open(3, "rb") as file:
        inputs = file.read().splitlines()
    for line in inputs:
        stdin = json.loads(line)
        empty(".")
        pipes = [*os.pipe(), *os.pipe()]
        pid = os.fork()
        if pid == 0:
            become_run(stdin, pipes, plan)
            return True
        os.close(pipes[1])
        os.close(pipes[3])
        result = memoryview(json.dumps(Run(pid, (pipes[0], pipes[2]), plan).result()).encode() + b"\n")
        while result:
            result = result[os.write(4, result) :]
    return False


def main() -> None:
    """Serve; in a child, run the program like the interpreter would."""
    with open("plan.json", encoding="utf-8") as file:
        plan = json.load(file)
    empty(".")
    if not serve(plan):
        return
    program = type(sys)("__main__")
    sys.modules["__main__"] = program
    sys.argv = ["program.py"]
    try:
        exec(compile(plan["prelude"], "prelude", "exec", dont_inherit=True), program.__dict__)
        source = plan["program"].encode("utf-8", "surrogatepass")
        code: CodeType = compile(source, "program.py", "exec", dont_inherit=True)
        exec(code, program.__dict__)
    except SystemExit:
        raise
    except BaseException as e:
        trace = e.__traceback__
        e.__traceback__ = trace.tb_next if trace else None
        sys.excepthook(type(e), e, e.__traceback__)
        sys.exit(1)


if __name__ == "__main__":
    main()
