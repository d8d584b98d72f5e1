"""`gym-mcp serve --workers`: holds the ports, starts a worker on each, and replaces those that die.

An episode lives and dies in one worker. The ports stay bound here: while a worker is replaced, its clients wait in
the port's queue, and nobody else can take it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from gym_mcp import hub
from gym_mcp.crew.channel import Channel
from gym_mcp.crew.process import ENDING, WorkerProcess, how_it_ended
from gym_mcp.errors import GymError, UsageError
from gym_mcp.server.offer import Offer
from gym_mcp.server.row import listen_in_row
from gym_mcp.server.run import Ready, Serving, endpoints, operator_key, places_of, stop_on_signals
from gym_mcp.types import JSONObject

START: Final = 300.0
"""Seconds that a worker has from its start until it answers: it may have to read many tasks."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 30.0
_SETTLED: Final = 60.0
"""Seconds after which a worker's death has nothing to do with the one before."""
_GIVE_UP: Final = 10
"""Starts in a row that fail, of every worker; then the server ends."""
_PATIENT: Final = 1.0
"""Seconds that clients of a dead worker wait in its queue at most, before they are refused."""


class Seat:
    """One worker's place: its ports, and the process that has them now."""

    def __init__(self, number: int, sockets: Sequence[socket.socket]) -> None:
        self.number = number
        self.sockets = sockets
        self.up = asyncio.Event()
        self.failures = 0
        self.channel: Channel | None = None
        self.process: WorkerProcess | None = None

    def refuse(self) -> None:
        """Refuse connections until a worker listens again; the port stays taken."""
        for listener in self.sockets:
            with contextlib.suppress(OSError):  # only Linux does that with a listening socket
                listener.shutdown(socket.SHUT_RDWR)


class Supervisor:
    """The workers of a server. `hello`: what all of them are told; `say`: gets a line for a person."""

    def __init__(self, seats: Sequence[Seat], hello: JSONObject, say: Callable[[str], None]) -> None:
        self._seats = seats
        self._hello = hello
        self._say = say
        self._identity: JSONObject | None = None
        self._names: list[str] = []
        self._started = False
        self._stopping = asyncio.Event()

    async def run(self, stop: asyncio.Event, ready: Callable[[list[str]], Any]) -> None:
        """Serve until `stop`; `ready` is told the environments' names once all workers answer.

        Raises what a worker could not be started for: `UsageError`, or `GymError`.
        """
        places = [asyncio.create_task(self._man(seat)) for seat in self._seats]
        up = asyncio.create_task(self._all_up())
        waiter = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([up, waiter, *places], return_when=asyncio.FIRST_COMPLETED)
            if up.done() and not stop.is_set():
                self._started = True
                told = ready(self._names)
                if told is not None:
                    await told
                await asyncio.wait([waiter, *places], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping.set()
            for task in (up, waiter):
                task.cancel()
            await self._end()
            results = await asyncio.gather(*places, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _all_up(self) -> None:
        for seat in self._seats:
            await seat.up.wait()

    async def _end(self) -> None:
        """Have all workers end; those that do not are killed."""
        for seat in self._seats:
            if seat.channel is not None:
                seat.channel.send({"end": True})
                seat.channel.flush()
        asyncio.get_running_loop().call_later(ENDING, self._kill)

    def _kill(self) -> None:
        for seat in self._seats:
            if seat.process is not None:
                seat.process.kill()

    async def _man(self, seat: Seat) -> None:
        """Keep a worker in a place."""
        while not self._stopping.is_set():
            began = time.monotonic()
            error = await self._lead(seat)
            was_up = seat.up.is_set()
            seat.up.clear()
            if self._stopping.is_set():
                return
            if not self._started:
                raise error
            settled = was_up and time.monotonic() - began > _SETTLED
            seat.failures = 1 if settled else seat.failures + 1
            if all(s.failures >= _GIVE_UP and not s.up.is_set() for s in self._seats):
                raise GymError(f"no worker can be started any more: {error}")
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (seat.failures - 1))
            if pause > _PATIENT or not was_up:
                seat.refuse()
            lost = ", its episodes are lost" if was_up else ""
            with contextlib.suppress(OSError):  # nobody reads stderr any more
                self._say(f"worker {seat.number}: {error}{lost}; the next one starts in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def _lead(self, seat: Seat) -> GymError:
        """One process from its start to its end; why it ended."""
        try:
            process = WorkerProcess("gym_mcp.server.worker", [s.fileno() for s in seat.sockets])
        except OSError as e:
            return UsageError(f"--workers: no process can be started: {e.strerror}")
        seat.process = process
        channel = seat.channel = await process.connect()
        channel.send({**self._hello, "worker": seat.number, "sockets": [s.fileno() for s in seat.sockets]})
        error: GymError | None = None
        try:
            async with asyncio.timeout(START) as starting:
                async for message in channel.messages():
                    if "ready" in message:
                        starting.reschedule(None)
                        self._names = message["names"]
                        seat.up.set()
                    elif "loaded" in message:
                        error = self._differs(message["loaded"])
                        channel.send({"serve": error is None and not self._stopping.is_set()})
                    elif message.get("error") == "usage":
                        error = UsageError(message["message"])
                    elif "error" in message:
                        error = GymError(f"it failed: {message['message']}")
        except TimeoutError:
            error = GymError(f"it did not answer within {START:g} s")
            process.kill()
        await channel.aclose()
        status = await process.ended()
        seat.process = seat.channel = None
        return error or GymError(f"process {process.pid} died ({how_it_ended(status)})")

    def _differs(self, identity: JSONObject) -> GymError | None:
        """Whether a worker has other code or tasks than those before it."""
        if self._identity is None:
            self._identity = identity
        for name, hashes in self._identity.items():
            found = identity.get(name, {})
            changed = [f"{k} {v} -> {found.get(k)}" for k, v in hashes.items() if found.get(k) != v]
            if changed:
                what = f"environment {name} changed since the server was started ({'; '.join(changed)})"
                return UsageError(f"{what}: restart the server")
        return None


async def serve_workers(
    offer: Offer,
    workers: int,
    *,
    host: str,
    port: int,
    operator_host: str | None = None,
    operator_port: int | None = None,
    key_file: Path | None = None,
    allow_hosts: Sequence[str] = (),
    ready: Ready | None = None,
    say: Callable[[str], None],
    stop: asyncio.Event | None = None,
) -> None:
    """`run.serve` with several processes, on `workers` consecutive ports from `port` and `operator_port`."""
    if (offer.judge or "").startswith("replay:"):
        raise UsageError("--workers: a recorded judge gives its replies in turn; leave --workers out")
    places = places_of(host, port, operator_host, operator_port)
    names = [name for name, _ in places]
    async with AsyncExitStack() as stack:
        rows: list[list[socket.socket]] = []
        for place in places:
            rows.append(listen_in_row(*place, workers))
            for listener in rows[-1]:
                stack.enter_context(contextlib.closing(listener))
        key, file_used = operator_key(stack, key_file, rows[-1][0].getsockname()[1])
        first = [row[0] for row in rows]
        hello = {
            "path": sys.path,
            "hubs": [str(path) for path in hub.added_roots()],
            "offer": offer.model_dump(mode="json"),
            "workers": workers,
            "names": names,
            "allow_hosts": list(allow_hosts),
            "key": key,
        }
        seats = [Seat(i, [row[i] for row in rows]) for i in range(workers)]

        def tell(environments: list[str]) -> Any:
            return ready(Serving(endpoints(environments, first, names, workers), file_used)) if ready else None

        await Supervisor(seats, hello, say).run(stop or stop_on_signals(), tell)
