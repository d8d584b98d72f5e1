"""An environment whose rollouts are scored together, and which can be told to go wrong at that."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from gym_mcp import Environment, GroupRollout, Reward, Task, Transcript
from gym_mcp import Options as BaseOptions


def _lazily(count: int) -> Iterator[float]:
    while count < 0:
        pass
    for _ in range(count):
        yield 1.0
    if not count:
        raise TypeError("no group today")


class Grouped(Environment):
    """Say anything; the group shares one point."""

    call_timeout = 1.0

    class Options(BaseOptions):
        broken: str = ""
        """A file; as long as it exists, no group can be scored."""

    def verify(self, transcript: Transcript) -> Reward:
        if self.task.data.get("fail") == self.seed % 2:
            raise RuntimeError("an unlucky seed")
        return Reward(1.0, {"alone": 1.0}, "alone")

    @classmethod
    async def verify_group(cls, task: Task, rollouts: Sequence[GroupRollout]) -> Any:
        mode = task.data.get("group")
        if mode == "raise" or (cls.options.broken and os.path.exists(cls.options.broken)):
            raise RuntimeError("no group today")
        if mode == "hang":
            while True:
                pass
        if mode == "judge":
            await cls.judge.ask("Which?")
        if mode == "few":
            return [1.0]
        if mode == "lazy":
            return _lazily(1)
        if mode == "lazy-raise":
            return _lazily(0)
        if mode == "lazy-hang":
            return _lazily(-1)
        if mode == "none":
            return None
        if mode == "beyond":
            return [7.0 for _ in rollouts]
        note = ",".join(str(r.repeat) for r in rollouts)
        return [Reward(1 / len(rollouts), {"members": len(rollouts), "repeat": r.repeat}, note) for r in rollouts]

    def solution(self) -> str:
        return "done"
