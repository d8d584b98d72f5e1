"""Asks a judge about labelled examples: each `votes` times, pairs in both orders."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gym_mcp.errors import JudgeError
from gym_mcp.judge import Hearing, Judge, hearing
from gym_mcp.judging.examples import PAIR, Example, Label, Reading, verifiers
from gym_mcp.types import JSONObject


@dataclass(slots=True)
class Judged:
    """What the judge said of one example. `votes` and `swapped` are in the order of asking; None: unreadable."""

    example: Example
    verdict: Label | None = None
    votes: Sequence[Label | None] = ()
    swapped: Sequence[Label | None] = ()
    consistent: bool | None = None
    failure: str | None = None
    usage: Hearing = field(default_factory=lambda: Hearing(""))

    def as_json(self) -> JSONObject:
        """One line of what `--out` writes."""
        return {
            "id": self.example.id,
            "label": self.example.label,
            "verdict": self.verdict,
            "votes": list(self.votes),
            "swapped": list(self.swapped),
            "consistent": self.consistent,
            "failure": self.failure,
        }


async def judge_all(
    judge: Judge,
    prompt: Any,
    examples: Sequence[Example],
    reading: Reading,
    *,
    votes: int = 1,
    swap: bool = True,
    concurrency: int = 16,
) -> list[Judged]:
    """The judge's word on each example, in order. An example whose judge fails has the failure's message."""
    gate = asyncio.Semaphore(concurrency)

    async def one(example: Example) -> Judged:
        async with gate:
            judged = Judged(example, usage=Hearing(example.id))
            token = hearing.set(judged.usage)
            try:
                await _ask(judge, prompt, reading, judged, votes, swap)
            except JudgeError as e:
                judged.failure = str(e)
            finally:
                hearing.reset(token)
            return judged

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(example)) for example in examples]
    return [task.result() for task in tasks]


async def _ask(judge: Judge, prompt: Any, reading: Reading, judged: Judged, votes: int, swap: bool) -> None:
    judging, fields = verifiers("judging"), dict(judged.example.fields)
    if reading.kind != "pair":
        cast = await judging.pointwise(judge.ask, prompt.fill(**fields), reading.read, votes=votes)
        judged.votes = cast.cast
        mean = verifiers("votes").mean_of
        judged.verdict = mean(cast.cast) if reading.kind == "score" else cast.majority
        return
    first, second = fields.pop("first"), fields.pop("second")
    comparison = await judging.pairwise(
        judge.ask, prompt, first, second, reading.read, swap=swap, votes=votes, fields=fields
    )
    judged.votes = comparison.forward.cast
    judged.swapped = comparison.swapped.cast if comparison.swapped is not None else ()
    judged.consistent = comparison.consistent
    judged.verdict = None if comparison.value is None else winner(comparison.value)


def winner(value: float) -> str:
    """The label of a preference: `first`, `second`, or `tie` at one half."""
    return PAIR[1] if abs(value - 0.5) < 1e-9 else PAIR[2] if value > 0.5 else PAIR[0]
