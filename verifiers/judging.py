"""Asking a judge: one answer (pointwise) or two (pairwise, in both orders), several times, or a whole group.

A reply that cannot be read is None and is counted: it is never a 0, and what to make of it is the caller's policy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from verifiers.comparison import Match, Schedule, bradley_terry, pairs, shares, win_rates
from verifiers.extract import Which, label
from verifiers.judge import Prompt
from verifiers.votes import Votes, mean_of

T = TypeVar("T", bound=Hashable)
Ask: TypeAlias = Callable[..., Awaitable[str]]
"""`ask(prompt, vote=0, **params)`: an environment's `self.judge.ask`."""
PREFERENCES: Final[Mapping[str, float]] = {"[[A]]": 1.0, "[[B]]": 0.0, "[[C]]": 0.5}
"""What the labels of `prompts/pairwise.txt` are worth to the answer that is shown first."""
_EVEN: Final = 0.5
_CLOSE: Final = 1e-9


async def pointwise(
    ask: Ask, prompt: str, read: Callable[[str], T | None], *, votes: int = 1, **params: Any
) -> Votes[T]:
    """Ask the same thing `votes` times. `read` makes a value of a reply, or None when it cannot be read."""
    if votes == 1:
        return Votes((read(await ask(prompt, **params)),))
    replies = [await ask(prompt, vote=vote, **params) for vote in range(votes)]
    return Votes(tuple(read(reply) for reply in replies))


def preference(reply: str, labels: Mapping[str, float] = PREFERENCES, *, which: Which = "last") -> float | None:
    """What a reply's label is worth to the answer shown first, in [0, 1]; None without a label."""
    found = label(reply, tuple(labels), which)
    return None if found is None else labels[found]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers compared. Votes are values for the answer that was *shown* first.

    `swapped` is None when only one order was asked for.
    """

    forward: Votes[float]
    swapped: Votes[float] | None

    @property
    def values(self) -> tuple[float | None, float | None]:
        """What the first answer got in each order: the mean of the votes, turned round for the second order."""
        back = None if self.swapped is None else mean_of(self.swapped.cast)
        return mean_of(self.forward.cast), None if back is None else 1.0 - back

    @property
    def consistent(self) -> bool | None:
        """Whether both orders name the same winner (or both a tie); None when one order says nothing."""
        forward, back = self.values
        return None if forward is None or back is None else _side(forward) == _side(back)

    @property
    def value(self) -> float | None:
        """What the first answer gets: 1 it is better, 0 the second is, 0.5 a tie; None when it cannot be told.

        With both orders, orders that contradict each other are a tie (the conservative rule of Zheng et al. 2023,
        arXiv:2306.05685, section 3.4), and an order that could not be read leaves the whole undecided.
        """
        forward, back = self.values
        if self.swapped is None:
            return forward
        if forward is None or back is None:
            return None
        return (forward + back) / 2 if self.consistent else _EVEN

    @property
    def first_shown(self) -> tuple[int, int]:
        """(votes for the answer shown first, votes for one of the two): even, when position does not matter."""
        cast = [*self.forward.readable, *(self.swapped.readable if self.swapped else ())]
        return sum(v > _EVEN + _CLOSE for v in cast), sum(abs(v - _EVEN) > _CLOSE for v in cast)


def _side(value: float) -> int:
    return 0 if abs(value - _EVEN) <= _CLOSE else 1 if value > _EVEN else -1


async def pairwise(
    ask: Ask,
    prompt: Prompt,
    first: str,
    second: str,
    read: Callable[[str], float | None] = preference,
    *,
    swap: bool = True,
    votes: int = 1,
    fields: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
) -> Comparison:
    """Compare two answers, in both orders unless `swap` is False; the prompt has `{first}` and `{second}`.

    `fields` are the prompt's other ones. `params` go to the judge.
    """

    async def order(one: str, other: str) -> Votes[float]:
        return await pointwise(
            ask, prompt.fill(**(fields or {}), first=one, second=other), read, votes=votes, **(params or {})
        )

    forward = await order(first, second)
    return Comparison(forward, await order(second, first) if swap else None)


@dataclass(frozen=True, slots=True)
class Standing:
    """A group after its comparisons. Lists are in the order of the answers.

    `win_rates` are None for an answer without a match; `shares` are the Bradley-Terry chances to beat an average
    other answer, in [0, 1]: a reward.
    """

    matches: list[Match]
    inconsistent: int
    undecided: int
    win_rates: list[float | None]
    strengths: list[float]
    shares: list[float]


async def compare_group(
    ask: Ask,
    prompt: Prompt,
    answers: Sequence[str],
    read: Callable[[str], float | None] = preference,
    *,
    schedule: Schedule = "all",
    pivot: int = 0,
    swap: bool = True,
    votes: int = 1,
    concurrency: int = 8,
    prior: float = 0.1,
    fields: Mapping[str, str] | None = None,
) -> Standing:
    """Compare the answers of a group and rank them: what a `verify_group` needs.

    Answers with the same text are equal without a judge. Comparisons that cannot be read are left out and counted.
    """
    gate = asyncio.Semaphore(concurrency)

    async def meet(i: int, j: int) -> Comparison | None:
        if answers[i].strip() == answers[j].strip():
            return None
        async with gate:
            return await pairwise(ask, prompt, answers[i], answers[j], read, swap=swap, votes=votes, fields=fields)

    chosen = pairs(len(answers), schedule, pivot=pivot)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(meet(i, j)) for i, j in chosen]
    return standing(len(answers), chosen, [task.result() for task in tasks], prior=prior)


def standing(
    n: int, chosen: Sequence[tuple[int, int]], comparisons: Sequence[Comparison | None], *, prior: float = 0.1
) -> Standing:
    """The ranking that comparisons add up to; None for a pair of equal answers."""
    matches: list[Match] = []
    inconsistent = undecided = 0
    for (i, j), comparison in zip(chosen, comparisons, strict=True):
        value = _EVEN if comparison is None else comparison.value
        if comparison is not None and comparison.consistent is False:
            inconsistent += 1
        if value is None:
            undecided += 1
        else:
            matches.append(Match(i, j, value))
    strengths = bradley_terry(n, matches, prior=prior)
    return Standing(matches, inconsistent, undecided, win_rates(n, matches), strengths, shares(strengths))
