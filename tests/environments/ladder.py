"""An environment that shows every behaviour that the rungs of the transport ladder must agree on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from gym_mcp import Call, Environment, GroupRollout, Image, JudgeError, Reward, Task, ToolError, Transcript, tool

SECRET = "the answer is 42"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060"
    "000000050001a5f645400000000049454e44ae426082"
)


class Ladder(Environment):
    """Count to the target; every tool does something that a transport can get wrong."""

    domain = "test"
    tags = ("fixture",)
    call_timeout = 0.5
    max_result_chars = 5_000

    def open(self, task: Task) -> None:
        if task.data.get("open") == "raise":
            raise RuntimeError(SECRET)
        self.value = 0
        self.target = task.data.get("target", 3)
        self._mode = task.data.get("verify", "score")

    def tools_for(self, task: Task) -> list[str] | None:
        only = task.data.get("only")
        return None if only is None else list(only)

    @tool
    def add(self, amount: int) -> int:
        """Add to the counter.

        Args:
            amount: How much.
        """
        self.value += amount
        return self.value

    @tool(read_only=True)
    def read(self) -> int:
        """Read the counter."""
        return self.value

    @tool
    async def add_later(self, amount: int, seconds: float = 0.0) -> int:
        """Add to the counter after a while."""
        await asyncio.sleep(seconds)
        self.value += amount
        return self.value

    @tool
    def stall(self) -> str:
        """Never come back."""
        while True:
            time.sleep(0.01)

    @tool
    def echo(self, text: str, times: int = 1) -> str:
        """Say it again."""
        return text * times

    @tool
    def record(self, value: dict[str, Any]) -> dict[str, Any]:
        """Give back a JSON object."""
        return value

    @tool
    def refuse(self, reason: str) -> str:
        """Raise a ToolError."""
        raise ToolError(f"refused: {reason}")

    @tool
    def crash(self) -> str:
        """Raise an exception whose text is a secret."""
        raise ValueError(SECRET)

    @tool
    def picture(self, caption: str = "") -> Any:
        """Give an image, after a caption if there is one."""
        image = Image(PIXEL)
        return [caption, image] if caption else image

    @tool
    def dice(self) -> int:
        """Throw dice."""
        return self.rng.randrange(10**9)

    @tool(read_only=True)
    async def meet(self, parties: int) -> str:
        """Come back once so many calls are in here at a time."""
        if "_meeting" not in vars(self):
            self._meeting = asyncio.Barrier(parties)
        await self._meeting.wait()
        return "met"

    @tool
    def submit(self) -> str:
        """End the episode."""
        self.done = True
        return "submitted"

    def reply(self, message: str) -> str | None:
        return None if message == "bye" else f"you said {message}"

    def resources(self) -> dict[str, str | bytes | Image]:
        return {"notes.txt": "a note", "raw.bin": b"\x00\xff", "test://pixel": Image(PIXEL)}

    def verify(self, transcript: Transcript) -> Any:
        if self._mode == "raise":
            raise RuntimeError(SECRET)
        if self._mode == "judge":
            raise JudgeError("the judge is away", retryable=True)
        if self._mode in ("out of range", "wrong type"):
            return 7.0 if self._mode == "out of range" else "high"
        parts = {"counted": float(self.value), "answered": float(transcript.answer == "done")}
        return Reward(float(self.value == self.target), parts, f"stopped: {transcript.stop} ∎")

    @classmethod
    def verify_group(cls, task: Task, rollouts: Sequence[GroupRollout]) -> list[Reward]:
        if task.data.get("group") == "raise":
            raise RuntimeError(SECRET)
        told = [f"{r.repeat} {r.transcript.answer[:100]} {r.transcript.stop} {len(r.ledger)}" for r in rollouts]
        return [Reward(r.reward.score / len(rollouts), {"n": len(rollouts)}, "; ".join(told)) for r in rollouts]

    def solution(self) -> Generator[Any, Any, None]:
        seen: str = yield Call("read")
        rest = self.target - int(seen)
        first, second = yield [Call("add", amount=rest - 1), Call("add", amount=1)]
        assert int(second) == int(first) + 1
        yield "done"

    @classmethod
    def tasks(cls) -> Iterator[dict[str, Any]]:
        for i in range(1, 4):
            yield {"id": f"t{i}", "prompt": f"Count to {i}. — ünïcödé", "data": {"target": i}}
