"""Environments and seats for the tests of `connect`: seats in this process, over the real HTTP app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gym_mcp import Environment, Reward, Task, Transcript, tool
from gym_mcp.connect.app import SeatApp
from gym_mcp.connect.record import Book
from gym_mcp.connect.seat import LEASE, Seat
from gym_mcp.errors import VerifierError
from gym_mcp.server.listener import listen
from gym_mcp.server.run import run_apps
from gym_mcp.server.service import Service
from gym_mcp.store import EpisodeStore
from gym_mcp.types import JSONObject


class Counter(Environment):
    """Raise a counter to the task's target."""

    call_timeout = 5.0

    def open(self, task: Task) -> None:
        if task.data.get("broken"):
            raise RuntimeError("cannot be opened")
        self.value, self.target = 0, task.data["target"]

    @tool
    def add(self, amount: int) -> int:
        """Add `amount` and return the counter's value."""
        self.value += amount
        return self.value

    @tool
    def stop(self) -> str:
        """End the episode."""
        self.done = True
        return "stopped"

    @tool
    def crash(self) -> str:
        """Fail."""
        raise RuntimeError(f"the target is {self.target}")

    async def verify(self, transcript: Transcript) -> Reward:
        await asyncio.sleep(self.task.data.get("slow", 0))
        if transcript.answer == "raise":
            raise VerifierError(f"the target is {self.target}")
        said = float(transcript.answer == "done")
        return Reward(float(self.value == self.target), {"said": said}, "secret note")

    @classmethod
    def tasks(cls) -> list[JSONObject]:
        return [{"id": f"t{n}", "prompt": f"Reach {n}.", "data": {"target": n}} for n in (1, 2, 3)]


class Talker(Environment):
    """Say the word in conversation."""

    def open(self, task: Task) -> None:
        self.heard: list[str] = []

    def reply(self, message: str) -> str | None:
        self.heard.append(message)
        if message == "crash":
            raise RuntimeError("the word is xyzzy")
        return None if message == "bye" else f"you said {message}"

    @tool
    def submit(self, word: str) -> str:
        """The environment's own tool of that name."""
        return f"took {word}"

    def verify(self, transcript: Transcript) -> float:
        return float(transcript.answer == "bye")

    @classmethod
    def tasks(cls) -> list[JSONObject]:
        return [{"id": "talk", "prompt": "Say bye."}]


def make_seat(
    out: Path, cls: type[Environment[Any]] = Counter, tasks: Sequence[JSONObject] | None = None, **options: Any
) -> Seat:
    """A seat whose book is the run directory `out`."""
    if tasks is not None:
        rows = [dict(row) for row in tasks]
        cls = type(cls.__name__, (cls,), {"tasks": classmethod(lambda _: rows), "name": cls.name})
    service = Service(cls, store=EpisodeStore(cls, ttl=LEASE))
    book = Book(cls, "counter.py", harness="connect:test", model="unknown", out=out)
    return Seat(service, list(service.tasks().values()), book, **options)


def outcomes(seat: Seat) -> list[tuple[str, int, str, float | None]]:
    """(task, repeat, outcome or failure kind, reward) of the rows so far."""
    return [
        (
            r["task_id"],
            r["repeat"],
            r["outcome"] if r["failure"] is None else r["failure"]["kind"],
            r["reward"],
        )
        for r in seat.book.rows()
    ]


@asynccontextmanager
async def serving(seat: Seat) -> AsyncIterator[str]:
    """The URL of a seat that is served over HTTP meanwhile; its first task is taken."""
    app = SeatApp(seat.service)
    app.seats[seat.handle] = seat
    stop, up = asyncio.Event(), asyncio.Event()
    listener = listen("127.0.0.1", 0)
    async with asyncio.timeout(50), app.running():
        if seat.turn is None:
            await seat.take()
        server = asyncio.create_task(run_apps([app], [listener], stop, up.set))
        try:
            await up.wait()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}{app.path_of(seat)}"
        finally:
            stop.set()
            await server
            listener.close()
            await seat.aclose()
