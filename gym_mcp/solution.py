"""Steps of a reference solution, taken one at a time from whatever form the author gave it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gym_mcp.types import Call


@dataclass(slots=True)
class Step:
    """One step of the reference solution: calls to make (in parallel) or something to say."""

    calls: list[Call] = field(default_factory=list)
    say: str | None = None
    done: bool = False


class SolutionSteps:
    """A `solution()` being played: steps are kept by number, so that asking again moves nothing."""

    def __init__(self, solve: Callable[[], Any]) -> None:
        self.steps: list[Step] = []
        self._solve = solve
        self._iterator: Any = None

    def advance(self, results: Sequence[str]) -> Step | Awaitable[Step]:
        """The next step; `results` are what the step before it brought back."""
        if self.steps and self.steps[-1].done:
            return Step(done=True)
        if self._iterator is None:
            self._iterator = _as_iterator(self._solve())
        sent: Any = None
        if self.steps and results:
            sent = list(results) if len(self.steps[-1].calls) > 1 else results[0]
        if inspect.isasyncgen(self._iterator):
            return _advance_async(self._iterator, sent)
        try:
            takes_results = _takes_results(self._iterator)
            return _as_step(self._iterator.send(sent) if takes_results else next(self._iterator))
        except StopIteration as end:
            return Step(say=end.value if isinstance(end.value, str) else None, done=True)


def _as_iterator(solution: Any) -> Any:
    if inspect.isgenerator(solution) or inspect.isasyncgen(solution):
        return solution
    if isinstance(solution, str | Call):
        return iter([solution])
    return iter(solution)


def _takes_results(solution: Any) -> bool:
    """Whether results can be sent into a solution: not into a list, nor into a generator's `yield from LIST`."""
    if not inspect.isgenerator(solution):
        return False
    inner = solution.gi_yieldfrom
    return inner is None or hasattr(inner, "send")


def _as_step(step: Any) -> Step:
    if isinstance(step, Call):
        return Step(calls=[step])
    if isinstance(step, str):
        return Step(say=step)
    if isinstance(step, list) and all(isinstance(c, Call) for c in step):
        return Step(calls=step)
    raise TypeError(f"solution() gave {step!r}: a step is a Call, a list of Calls or a str")


async def _advance_async(solution: Any, sent: Any) -> Step:
    try:
        return _as_step(await solution.asend(sent))
    except StopAsyncIteration:
        return Step(done=True)
