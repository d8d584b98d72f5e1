"""An environment in which everything can go wrong where the task says so, and episodes of it."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from pydantic import AfterValidator

from gym_mcp import Environment, Image, JudgeError, Reward, Task, ToolError, Transcript, tool
from gym_mcp.episode import Episode
from gym_mcp.errors import EnvironmentFailure
from gym_mcp.types import JSONObject, ToolResult

SECRET = "the answer is 42"


def picky(value: int) -> int:
    raise KeyError(SECRET)


class Bench(Environment):
    """An environment in which everything can go wrong where the task says so."""

    call_timeout = 20.0
    max_calls = 20
    max_result_chars = 50
    max_image_bytes = 10

    def open(self, task: Task) -> None:
        self.value = 0
        self.log: list[str] = []
        self.begun = asyncio.Event()
        self.verified = 0
        misbehave_as(task.data.get("open"))

    def tools_for(self, task: Task) -> Any:
        wanted = task.data.get("tools")
        return iter(wanted) if isinstance(wanted, list) else wanted

    @tool
    def add(self, amount: int) -> int:
        """Add."""
        self.value += amount
        return self.value

    @tool
    async def add_slowly(self, amount: int, seconds: float = 0.01) -> int:
        before = self.value
        self.log.append(f"in {amount}")
        self.begun.set()
        await asyncio.sleep(seconds)
        self.log.append(f"out {amount}")
        self.value = before + amount
        return self.value

    @tool
    def echo(self, text: str) -> str:
        return text

    @tool
    def misbehave(self, how: str) -> Any:
        return misbehave_as(how)

    @tool
    async def misbehave_later(self, how: str) -> Any:
        await asyncio.sleep(0)
        return misbehave_as(how)

    @tool
    def picky(self, x: Annotated[int, AfterValidator(picky)]) -> int:
        return x

    @tool
    def lazy(self) -> Any:
        return (misbehave_as("raise") for _ in range(1))

    @tool
    def ready(self, wrong: bool = False) -> ToolResult:
        return ToolResult("ready", is_error=wrong)

    @tool
    def picture(self, size: int = 3) -> Image:
        return Image(b"png"[:size].ljust(size))

    @tool
    def finish(self) -> str:
        self.done = True
        return "finished"

    def reply(self, message: str) -> str | None:
        misbehave_as(self.task.data.get("reply"))
        return None if message == "bye" else f"you said {message}"

    def state(self) -> JSONObject:
        misbehave_as(self.task.data.get("state"))
        return {**super().state(), "tuple": (1, 2)}

    def verify(self, transcript: Transcript) -> Any:
        self.verified += 1
        self.task.data.setdefault("verifications", []).append(self.verified)
        how = self.task.data.get("verify")
        return misbehave_as(how) if how else Reward(float(self.value == 3), {"value": self.value})

    def close(self) -> None:
        self.task.data.setdefault("closed", []).append(True)
        misbehave_as(self.task.data.get("close"))


def misbehave_as(how: Any) -> Any:
    match how:
        case "raise":
            raise RuntimeError(SECRET)
        case "tool error":
            raise ToolError("not like this")
        case "exit":
            raise SystemExit(SECRET)
        case "cancel":
            raise asyncio.CancelledError
        case "stop":
            raise StopIteration(SECRET)
        case "timeout error":
            raise TimeoutError(SECRET)
        case "hang":
            while True:
                time.sleep(0.01)
        case "judge":
            raise JudgeError("the judge is away", retryable=True)
        case "failure":
            raise EnvironmentFailure("the database is away", retryable=True)
        case _:
            return how


def hasty(cls: type[Environment[Any]]) -> type[Environment[Any]]:
    """The same environment with a tenth of a second for each call."""
    return type(cls.__name__, (cls,), {"call_timeout": 0.1, "name": cls.name})


async def opened(cls: type[Environment[Any]] = Bench, *, ttl: float = 60.0, seed: int = 1, **data: Any) -> Episode:
    """An open episode; one whose task hangs has little time."""
    if "hang" in data.values():
        cls = hasty(cls)
    episode = Episode(cls, Task("t", data=data), seed, "handle", ttl)
    await episode.open()
    return episode


def inside(episode: Episode) -> Any:
    """The author's instance."""
    return episode.environment
