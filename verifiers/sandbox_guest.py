"""The inside of a local sandbox: contains itself, then runs one Python program and reports how it ended.

Up to three processes: the launcher, which the caller started; `init`, first process of a pid namespace where there
is one; and the program. Whatever the program does, the end of `init` is the end of all of it.
"""

from __future__ import annotations

import builtins
import fcntl
import marshal
import os
import resource
import select
import sys

from verifiers import sandbox_kernel as kernel
from verifiers import sandbox_landlock, sandbox_seccomp
from verifiers.sandbox_supervisor import SIGKILL, Supervisor, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any, NoReturn


class Guest:
    """One job: `config` is what `sandbox_local` packed."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.limits: dict[str, Any] = config["limits"]
        self.status: int = config["status"]
        self.control: int = config["control"]
        self.contained: list[str] = ["rlimits", "session"]
        self.launcher = os.getpid()
        self.as_root = os.getuid() == 0
        self.kind = ""

    def say(self, *words: object) -> None:
        """One line to the caller. Short lines arrive whole."""
        os.write(self.status, (" ".join(str(w) for w in words) + "\n").encode())

    def launch(self) -> None:
        """Contain, run, wait. Returns in the launcher and, once the program is loaded, in the program itself."""
        if self.config["namespaces"]:
            self.kind = kernel.enter_namespaces()
        if not self.kind:
            self.run_unconfined()
            return
        self.contained += ["pid", "network", "ipc"]
        child = os.fork()
        if child == 0:
            self.init()
            return
        self.await_init(child)

    def await_init(self, child: int) -> NoReturn:
        """The launcher's part: end `init` as soon as the caller closes its end of the control pipe, or dies."""
        poll = select.poll()
        poll.register(self.control, select.POLLHUP)
        poll.register(os.pidfd_open(child), select.POLLIN)
        if any(fd == self.control for fd, _ in poll.poll()):
            os.kill(child, SIGKILL)
        os.waitpid(child, 0)
        os._exit(0)

    def init(self) -> None:
        """First process of the pid namespace: when it exits, the kernel ends every other one in it."""
        kernel.die_with_parent()
        try:
            files = self.limits["disk"], self.limits["files"]
            kernel.build_root(
                self.config["work"], self.config["binds"], self.config["links"], self.config["masks"], *files
            )
            self.contained += ["root"]
            self.config["writable"] = ["/work", "/tmp"]
            sys.path += ["/packages"] if self.config["packages"] else []
        except OSError as e:
            self.say("note", "no file system of its own:", str(e)[:200])
            self.use_shared_files()
        program = os.fork()
        if program == 0:
            self.become_program()
            return
        Supervisor(self.config, self.status, True).watch(program, None)

    def use_shared_files(self) -> None:
        os.chdir(self.config["work"])
        self.config["writable"] = [self.config["work"]]
        sys.path += self.config["package_folders"]

    def run_unconfined(self) -> None:
        """Without namespaces: the launcher adopts what the program leaves behind, and ends it."""
        kernel.adopt_orphans()
        self.use_shared_files()
        program = os.fork()
        if program == 0:
            self.become_program()
            return
        Supervisor(self.config, self.status, False).watch(program, self.control)

    # -- the program's side ----------------------------------------------------------------------------------

    def become_program(self) -> None:
        """Give up every right that the program shall not have."""
        os.setsid()
        self.attempt(kernel.last_to_be_spared)
        self.attempt(self.share_places)
        own_user = self.config["own_user"] and self.kind != "user"
        if own_user and self.readable_by_others() and kernel.become_another(self.launcher):
            self.contained.append("uid")
        else:
            kernel.become_nobody_special()
        self.attempt(self.write_files)
        if not self.kind:
            kernel.die_with_parent()
        keep = [fcntl.fcntl(fd, fcntl.F_DUPFD, 256) for fd in self.config["channels"]]
        others = 0 if self.kind or "uid" in self.contained else _tasks_of(os.getuid())
        _set_limits(self.limits, others)
        kernel.no_new_privileges()
        self.filter()
        self.say("contained", ",".join(self.contained))
        for target, fd in enumerate(keep, 3):
            os.dup2(fd, target)
        os.closerange(3 + len(keep), 65_536)

    def readable_by_others(self) -> bool:
        """Whether another user can reach the standard library."""
        path = os.path.dirname(os.__file__)
        while path != "/":
            if not os.stat(path).st_mode & 0o001:
                return False
            path = os.path.dirname(path)
        return True

    def attempt(self, step: Callable[[], None]) -> None:
        """Do what is good to have; the caller learns when it cannot be had."""
        try:
            step()
        except OSError as e:
            self.say("note", step.__name__, str(e)[:200].replace("\n", " "))

    def share_places(self) -> None:
        """Let the program's own user open /dev/stdout and write into its directory."""
        if os.geteuid() == 0 and self.kind != "user":
            for fd in (1, 2):
                os.fchmod(fd, 0o666)
            if "root" not in self.contained:
                os.chmod(self.config["work"], 0o1777)

    def write_files(self) -> None:
        for name, data in self.config["files"].items():
            if os.path.dirname(name):
                os.makedirs(os.path.dirname(name), exist_ok=True)
            with open(name, "wb") as file:
                file.write(data)

    def filter(self) -> None:
        if "root" not in self.contained:
            readable = [source for source, _ in self.config["binds"]] + self.config["package_folders"]
            devices = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"]
            if sandbox_landlock.restrict_files(readable, self.config["writable"] + devices):
                self.contained.append("landlock")
        alone = "pid" in self.contained or "uid" in self.contained
        countable = not self.as_root or "uid" in self.contained  # no limit of processes holds for the real root
        if sandbox_seccomp.install(None if alone else os.getpid(), countable):
            self.contained += ["seccomp"] if countable else ["seccomp", "no-fork"]
            if "network" not in self.contained:
                self.contained.append("no-sockets")


def _tasks_of(user: int) -> int:
    """Threads that `user` has already: they count against its limit of processes."""
    count = 0
    for pid in processes():
        try:
            if os.stat(f"/proc/{pid}").st_uid == user:
                count += len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            continue
    return count


def _set_limits(limits: dict[str, Any], others: int) -> None:
    cpu = int(limits["cpu_seconds"]) + 1
    for what, amount in (
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, limits["memory"]),
        (resource.RLIMIT_NPROC, limits["processes"] + others),
        (resource.RLIMIT_FSIZE, limits["disk"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_STACK, limits["stack"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        hard = resource.getrlimit(what)[1]
        if hard != resource.RLIM_INFINITY:
            amount = min(amount, hard)
        resource.setrlimit(what, (amount, amount))


def _exit(code: object = None) -> NoReturn:
    raise SystemExit(code)


def run_program(source: bytes, name: str, prelude: str = "") -> None:
    """Run the program as `__main__`; ends like the interpreter would."""
    main = type(sys)("__main__")
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    sys.argv = [name]
    for word in ("exit", "quit"):  # what `site` would have added
        setattr(builtins, word, _exit)
    try:
        exec(compile(prelude, "prelude", "exec", dont_inherit=True), main.__dict__)
        code: CodeType = compile(source, name, "exec", dont_inherit=True)
        exec(code, main.__dict__)
    except SystemExit:
        raise
    except BaseException as e:
        trace = e.__traceback__
        e.__traceback__ = trace.tb_next if trace else None  # the program's own frames
        sys.excepthook(type(e), e, e.__traceback__)
        sys.exit(1)


def main(config_fd: int) -> None:
    """Read the job from `config_fd` and do it. The last entry of `sys.path` was added to get here, and goes."""
    sys.path.pop()
    with open(config_fd, "rb") as file:
        config = marshal.loads(file.read())
    guest = Guest(config)
    try:
        guest.launch()
    except BaseException as e:
        guest.say("failed", f"{type(e).__name__}: {e}"[:400].replace("\n", " "))
        os._exit(70)
    source, name, prelude = config["program"], config["name"], config["prelude"]
    del guest, config
    for module in [m for m in sys.modules if m.partition(".")[0] == "verifiers"]:
        del sys.modules[module]
    run_program(source, name, prelude)
