"""The background server of one environment: its seats over HTTP, its owner's commands over a Unix socket.

It ends by `gym-mcp disconnect`, by a signal, or when nothing was asked of it for a day. What it knows of its seats
is on disk: a server that starts again after a crash or a reboot answers at the same URLs.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import re
import secrets
import signal
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from gym_mcp.connect.app import SeatApp
from gym_mcp.connect.control import answering
from gym_mcp.connect.record import Book, fits
from gym_mcp.connect.seat import Seat
from gym_mcp.connect.state import Home
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.errors import GymError, UsageError
from gym_mcp.hub import load_environment
from gym_mcp.identity import environment_identity
from gym_mcp.server.listener import listen
from gym_mcp.server.run import run_apps
from gym_mcp.server.service import Service
from gym_mcp.store import EpisodeStore
from gym_mcp.types import JSONObject

READY: Final = "ready"
_UNUSED: Final = 86_400.0
"""Seconds without a request after which a server with nothing unfinished ends."""
_SWEEP: Final = 15.0
_LOG_BYTES: Final = 1 << 20
_LAST_WORDS: Final = 2.0
"""Seconds that the log waits for its end: a process of the environment may hold it open."""
_SEAT_LEASE: Final = 20 * 365 * 86_400.0


class Daemon:
    """The seats of one environment, by name."""

    def __init__(self, home: Home) -> None:
        job = home.read(home.job_file)
        if not job:
            raise UsageError(f"{home.job_file}: no job there; `gym-mcp connect` writes it")
        self.home = home
        self.job = job
        self.stop = asyncio.Event()
        self.forget = False
        cls = load_environment(job["environment"], job["settings"])
        self.service = Service(cls, store=EpisodeStore(cls, ttl=_SEAT_LEASE), tasks=_path(job["input"]))
        self._identity = environment_identity(cls)
        self.tasks = list(self.service.tasks().values())
        self.app = SeatApp(self.service, self._revive)
        self.port = 0
        self._seats: dict[str, Seat] = {}
        self._saved: JSONObject = home.read(home.state_file)
        self._moving = asyncio.Lock()

    async def run(self, ready: Callable[[], Any]) -> None:
        """Serve until told to stop; unfinished episodes are recorded on the way out."""
        with contextlib.closing(_socket(self._saved.get("port", 0))) as listener:
            self.port = listener.getsockname()[1]
            self._save()
            async with self.app.running(), answering(self.home, self._handle), self._sweeping():
                try:
                    await run_apps([self.app], [listener], self.stop, ready)
                finally:
                    for seat in self._seats.values():
                        await seat.aclose()
                    if self.forget:
                        self.home.forget()

    # -- the owner's commands --------------------------------------------------------------------------------

    async def _handle(self, request: JSONObject) -> JSONObject:
        commands: dict[Any, Callable[..., Awaitable[JSONObject]]] = {
            "seat": self._seat,
            "next": self._next,
            "status": self._status,
            "stop": self._stop,
        }
        do = request.pop("do", None)
        if do not in commands:
            raise UsageError(
                f"the server knows no command `{do}`: another version of gym-mcp? `gym-mcp disconnect`"
            )
        async with self._moving:
            return await commands[do](**request)

    async def _seat(
        self,
        seat: str,
        client: str,
        task: str | None = None,
        skip: bool = False,
        hide_score: bool = False,
        may_go_on: bool = True,
        out: str | None = None,
    ) -> JSONObject:
        """The seat of that name with an unfinished episode: the one it has, or a new one."""
        if environment_identity(self.service.environment_type) != self._identity:
            raise UsageError(
                f"{self.job['environment']} has changed since its server started: `gym-mcp disconnect` first"
            )
        settings = {"client": client, "hide_score": hide_score, "may_go_on": may_go_on}
        known = self._seats.get(seat)
        if known is None:
            known = await self._open_seat(seat, settings, out, task)
        else:
            if out is not None and Path(out).resolve() != known.book.path:
                raise UsageError(f"seat {seat} records into {known.book.path}; `gym-mcp disconnect` first")
            known.hide_score, known.may_go_on = hide_score, may_go_on
            if not (known.unfinished and task in (None, known.current.task.id) and not skip):
                await known.take(task, skip=skip)
        self._remember(seat, known, settings)
        return self._about(seat, known)

    async def _open_seat(self, name: str, settings: JSONObject, out: str | None, task: str | None) -> Seat:
        saved = self._saved_seats().get(name, {})
        harness = f"connect:{settings['client']}"
        fresh = str(Path(self.job["runs"], _run_name(self.service.name, name)))
        book = Book(
            self.service.environment_type,
            self.job["environment"],
            harness=harness,
            model="unknown",
            out=Path(out or self._run_to_go_on(saved, harness) or fresh),
            settings=self.job["settings"],
            source=_path(self.job["input"]),
        )
        try:
            seat = Seat(
                self.service,
                self.tasks,
                book,
                handle=saved.get("handle"),
                hide_score=settings["hide_score"],
                may_go_on=settings["may_go_on"],
            )
            await seat.take(task or self._where_it_was(seat))
        except BaseException:
            book.close()
            raise
        self._seats[name] = self.app.seats[seat.handle] = seat
        return seat

    def _run_to_go_on(self, saved: JSONObject, harness: str) -> str | None:
        """The run of a server before this one, where the environment is the same still."""
        run = RunDirectory(Path(saved.get("run", "/nowhere")))
        good = run.exists() and fits(run.read_manifest(), self.service.environment_type, harness)
        return str(run.path) if good else None

    def _where_it_was(self, seat: Seat) -> str | None:
        """The task that a dead server left unfinished; the last one where none is left; else the next in order."""
        last = None
        for row in seat.book.rows():
            last = row
        if last is not None and (last["outcome"] == "failed" or not seat.has_next):
            return str(last["task_id"]) if last["task_id"] in seat.tasks else None
        return None

    async def _next(self, seat: str | None = None, task: str | None = None, skip: bool = False) -> JSONObject:
        names = [seat] if seat is not None else list(self._seats)
        if len(names) != 1 or names[0] not in self._seats:
            known = ", ".join(self._seats) or "none"
            raise UsageError(f"which seat goes on? name one with --seat; there are: {known}")
        found = self._seats[names[0]]
        await found.take(task, skip=skip)
        return self._about(names[0], found)

    async def _status(self) -> JSONObject:
        seats = [self._about(name, seat) for name, seat in self._seats.items()]
        return {"environment": self.job["environment"], "pid": os.getpid(), "port": self.port, "seats": seats}

    async def _stop(self) -> JSONObject:
        unfinished = [seat.current.task.id for seat in self._seats.values() if seat.unfinished]
        self.forget = True
        asyncio.get_running_loop().call_later(0.1, self.stop.set)  # the answer goes first
        return {"unfinished": unfinished, "runs": [str(seat.book.path) for seat in self._seats.values()]}

    def _about(self, name: str, seat: Seat) -> JSONObject:
        turn = seat.current
        return {
            "seat": name,
            "environment": self.service.name,
            "url": f"http://127.0.0.1:{self.port}{self.app.path_of(seat)}",
            "task": turn.task.id,
            "over": turn.over,
            "run": str(seat.book.path),
            "rollouts": sum(1 for _ in seat.book.rows()),
        }

    # -- what outlives the process ---------------------------------------------------------------------------

    def _saved_seats(self) -> JSONObject:
        seats: JSONObject = self._saved.setdefault("seats", {})
        return seats

    def _remember(self, name: str, seat: Seat, settings: JSONObject) -> None:
        self._saved_seats()[name] = {**settings, "handle": seat.handle, "run": str(seat.book.path)}
        self._save()

    def _save(self) -> None:
        self._saved.update(port=self.port, pid=os.getpid())
        self.home.write(self.home.state_file, self._saved)

    async def _revive(self, handle: str) -> None:
        """Take up a seat of the server before this one, at the first request to its URL."""
        for name, saved in self._saved_seats().items():
            if hmac.compare_digest(saved["handle"].encode(), handle.encode()) and name not in self._seats:
                async with self._moving:
                    if name not in self._seats:
                        settings = {k: saved[k] for k in ("client", "hide_score", "may_go_on")}
                        self._remember(name, await self._open_seat(name, settings, None, None), settings)
                return

    @contextlib.asynccontextmanager
    async def _sweeping(self) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(self._sweep_forever())
        try:
            yield
        finally:
            sweeper.cancel()
            await asyncio.gather(sweeper, return_exceptions=True)

    async def _sweep_forever(self) -> None:
        idle: float = self.job["idle"]
        while True:
            await asyncio.sleep(min(_SWEEP, idle / 4))
            for seat in list(self._seats.values()):
                await seat.sweep(idle)
            unused = time.monotonic() - self.app.last_request > _UNUSED
            if unused and not any(seat.unfinished for seat in self._seats.values()):
                self.stop.set()


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _run_name(environment: str, seat: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{environment}-connect-{seat}-{secrets.token_hex(3)}")


def _socket(wanted: int) -> Any:
    """The port of the server before this one, so that clients' configuration stays good; else a free one."""
    try:
        return listen("127.0.0.1", wanted)
    except UsageError:
        return listen("127.0.0.1", 0)


async def serve(home: Home, ready: Callable[[], Any]) -> None:
    """Run the server of `home` until it is told to stop, or by SIGINT or SIGTERM."""
    daemon = Daemon(home)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, daemon.stop.set)
    await daemon.run(ready)


@contextlib.contextmanager
def _bounded_log(file: Path) -> Iterator[None]:
    """Send what this process and the environment print to a log that starts over when it is full."""
    read, write = os.pipe()
    os.dup2(write, 1)
    os.dup2(write, 2)
    os.close(write)

    def drain() -> None:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0) as log:
            while chunk := os.read(read, 65_536):
                if log.tell() > _LOG_BYTES:
                    log.seek(0)
                    log.truncate()
                log.write(chunk)

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()
    try:
        yield
    finally:
        sys.stdout.flush()
        with open(os.devnull, "wb") as nowhere:
            for descriptor in (1, 2):
                os.dup2(nowhere.fileno(), descriptor)
        thread.join(_LAST_WORDS)


def main(folder: str) -> int:
    """The process: says `ready` on stdout once it answers, else one line of why not, and then logs."""
    home = Home(Path(folder))
    told = os.dup(1)

    def tell(line: str) -> None:
        os.write(told, f"{line}\n".encode())
        os.close(told)

    with _bounded_log(home.log_file), home.held() as mine:
        if not mine:
            tell("another server runs there already")
            return 1
        try:
            asyncio.run(serve(home, lambda: tell(READY)))
        except GymError as e:
            tell(" ".join(str(e).split()))
            return 1
        except Exception:
            traceback.print_exc()  # into the log, while there is one
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
