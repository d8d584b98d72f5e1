"""The run's side of an actor: the messages of its worker process, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

import gym_mcp
from gym_mcp.cluster import foreman
from gym_mcp.cluster.needs import actor_options
from gym_mcp.crew.channel import Channel
from gym_mcp.errors import one_line
from gym_mcp.types import JSONObject

_SILENCE: Final = 6 * foreman.QUIET
"""Seconds without a sign of life after which an actor counts as lost. It shows one much more often."""


@dataclass(frozen=True, slots=True)
class Cargo:
    """What each actor is given: the settings, the keys of endpoints, and a reference to the parcel of files."""

    setup: JSONObject
    keys: Mapping[str, str]
    parcel: Any


class Places:
    """Starts worker processes in actors on nodes that have what these need."""

    def __init__(self, ray: Any, needs: Mapping[str, float], cargo: Cargo) -> None:
        # By value: where nothing of ours is installed, it says so instead of not being found.
        ray.cloudpickle.register_pickle_by_value(foreman)
        self._ray = ray
        self._cargo = cargo
        self._spare: list[Any] = []
        self._class = ray.remote(
            max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD", **actor_options(needs)
        )(foreman.Foreman)

    def start(self, more: Awaitable[JSONObject] | None = None) -> tuple[RemoteProcess, RemoteChannel]:
        """A process that starts where there is room, once it is known what `more` it has to know."""
        try:
            actor = self._spare.pop() if self._spare else self._class.remote()
        except Exception as e:  # the cluster is gone: the first message would be the first to tell
            actor, more = None, _raised(e)
        process = RemoteProcess(self, actor)
        return process, RemoteChannel(process, actor, self._begin(actor, more))

    async def _begin(self, actor: Any, more: Awaitable[JSONObject] | None) -> JSONObject:
        """Keys are an argument of a method: those of a constructor stand in the cluster's tables."""
        cargo = self._cargo
        setup = orjson.dumps({**cargo.setup, **(await more if more is not None else {})})
        begun: JSONObject = await actor.begin.remote(gym_mcp.__version__, setup, dict(cargo.keys), cargo.parcel)
        return begun

    def let_go(self, actor: Any, *, usable: bool) -> None:
        """End an actor, or keep one whose process alone has died: another process starts in it sooner."""
        if usable:
            self._spare.append(actor)
        elif actor is not None:
            with contextlib.suppress(Exception):  # the cluster may be gone
                self._ray.kill(actor)

    def close(self) -> None:
        """End what was kept."""
        while self._spare:
            self.let_go(self._spare.pop(), usable=False)


class RemoteProcess:
    """A worker process on some node. `lost` says why nothing more is heard of it, if that is how it ended."""

    def __init__(self, places: Places, actor: Any) -> None:
        self.pid = 0
        self.where = ""
        """The node's address, once it has one."""
        self.status: int | None = None
        self.lost = ""
        self._let_go: Callable[[bool], None] = lambda usable: places.let_go(actor, usable=usable)

    def kill(self) -> None:
        self._let_go(False)

    async def ended(self) -> int | None:
        """Its exit status; None when it was lost. The actor is let go."""
        self._let_go(self.status is not None)
        return self.status


class RemoteChannel(Channel):
    """Messages through an actor's methods: one call is always on its way to bring whatever there will be."""

    def __init__(self, process: RemoteProcess, actor: Any, begun: Awaitable[JSONObject]) -> None:
        self._process = process
        self._actor = actor
        self._begun = begun
        self._pending = []

    def flush(self) -> None:
        if self._pending:
            try:
                self._actor.take.remote(b"".join(self._pending))
            except Exception as e:  # a connection to the cluster that is gone; `tell` finds the same
                self._process.lost = one_line(e)
        self._pending.clear()

    async def messages(self) -> AsyncIterator[JSONObject]:
        """What the process says, until it ends or is lost. A message's `lines` are those that followed it."""
        process = self._process
        try:
            begun = await self._begun
            process.where = begun["where"]
            if "error" in begun:
                yield {"error": "usage", "message": f"--ray: node {process.where}: {begun['error']}"}
                return
            yield {"placed": True}
            rest = b""
            while process.status is None:
                async with asyncio.timeout(_SILENCE):
                    said, process.status = await self._actor.tell.remote()
                found, rest = messages_in(rest + said)
                for message in found:
                    if "error" in message:
                        message["message"] = f"node {process.where}: {message['message']}"
                    yield message
        except TimeoutError:
            process.lost = f"no sign of life for {_SILENCE:g} s"
        except Exception as e:  # the actor died, or the way to it is gone: one and the same to a run
            process.lost = process.lost or _why(e)

    async def aclose(self) -> None:
        """Nothing is open."""


async def _raised(error: Exception) -> JSONObject:
    raise error


def messages_in(data: bytes) -> tuple[list[JSONObject], bytes]:
    """Whole messages with the lines that belong to them, and the bytes of one that is not all there."""
    found: list[JSONObject] = []
    lines = io.BytesIO(data).readlines()
    at = used = 0
    while at < len(lines) and lines[at].endswith(b"\n"):
        message: JSONObject = orjson.loads(lines[at])
        end = at + 1 + message.get("lines", 0)
        if end > len(lines) or not lines[end - 1].endswith(b"\n"):
            break
        if "lines" in message:
            message["lines"] = lines[at + 1 : end]
        found.append(message)
        used += sum(map(len, lines[at:end]))
        at = end
    return found, data[used:]


def _why(error: Exception) -> str:
    """An error of Ray's in a few words: its own are paragraphs."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].partition('. ')[0]:.200}" if lines else one_line(error)
