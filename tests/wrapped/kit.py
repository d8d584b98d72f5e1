"""Wrapped environments around the fake server, for tests."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

from gym_mcp import Call, Transcript
from gym_mcp.episode import Episode
from gym_mcp.types import Task
from gym_mcp.wrapped import WrappedEnvironment

FAKE = Path(__file__).with_name("fake.py")


class Fake(WrappedEnvironment):
    """Do things with a fake server."""

    call_timeout = 10.0
    command: ClassVar[Sequence[str]] = (sys.executable, str(FAKE), "plain", "2025-06-18", "{workdir}")

    def verify(self, transcript: Transcript) -> float:
        return float(self.read("a.txt") == "hello")

    def solution(self) -> Any:
        yield Call("write", path=f"{self.alias}/a.txt", content="hello")

    @classmethod
    def tasks(cls) -> list[dict[str, Any]]:
        return [{"id": f"t{n}", "prompt": "Write.", "data": {"files": {"in/b.txt": f"{n}\n"}}} for n in range(3)]


def styled(style: str, version: str = "2025-06-18", **attributes: Any) -> type[Fake]:
    """The class with a server of another style or protocol version."""
    command = (sys.executable, str(FAKE), style, version, "{workdir}")
    return type("Fake", (Fake,), {"command": command, "name": "fake", **attributes})


@asynccontextmanager
async def opened(cls: type[Fake] = Fake, data: dict[str, Any] | None = None) -> AsyncIterator[Episode]:
    """An open episode, closed at the end."""
    episode = Episode(cls, Task("t", (), data or {}), 0, "h", 3_600.0)
    try:
        await episode.open()
        yield episode
    finally:
        await episode.close()


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def inside(episode: Episode) -> Fake:
    """The author's instance."""
    assert isinstance(episode.environment, Fake)
    return episode.environment


def server_pid(episode: Episode) -> int:
    """Process id of an episode's server."""
    return inside(episode)._gym_connection.process.pid
