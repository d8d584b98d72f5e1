"""Every form of a reference solution gives the same steps."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

from gym_mcp.solution import SolutionSteps, Step
from gym_mcp.types import Call

A, B, C = Call("a"), Call("b", x=1), Call("c")


def as_list() -> list[Any]:
    return [A, [B, C], "done"]


def as_tuple() -> tuple[Any, ...]:
    return tuple(as_list())


def as_map() -> Iterator[Any]:
    return map(lambda step: step, as_list())


def as_generator() -> Iterator[Any]:
    yield A
    yield [B, C]
    yield "done"


def as_delegating_generator() -> Iterator[Any]:
    yield A
    yield from [[B, C], "done"]


async def as_async_generator() -> AsyncIterator[Any]:
    yield A
    await asyncio.sleep(0)
    yield [B, C]
    yield "done"


async def play(solve: Callable[[], Any], results: Callable[[Step], list[str]]) -> list[Step]:
    steps = SolutionSteps(solve)
    heard: list[str] = []
    while not (steps.steps and steps.steps[-1].done):
        step = steps.advance(heard)
        found = await step if inspect.isawaitable(step) else step
        steps.steps.append(found)
        heard = results(found)
    return steps.steps


FORMS = [as_list, as_tuple, as_map, as_generator, as_delegating_generator, as_async_generator]


@pytest.mark.parametrize("solve", FORMS)
def test_every_form_gives_the_same_steps(solve: Callable[[], Any]) -> None:
    steps = asyncio.run(play(solve, lambda step: ["r"] * len(step.calls)))
    assert steps == [Step([A]), Step([B, C]), Step(say="done"), Step(done=True)]


@pytest.mark.parametrize(("solution", "first"), [("done", Step(say="done")), (A, Step([A]))])
def test_a_single_step_needs_no_list(solution: Any, first: Step) -> None:
    assert asyncio.run(play(lambda: solution, lambda step: [])) == [first, Step(done=True)]


def test_generators_hear_what_their_calls_brought() -> None:
    heard: list[Any] = []

    def solve() -> Iterator[Any]:
        heard.append((yield A))
        heard.append((yield [B, C]))
        heard.append((yield [C]))
        heard.append((yield "anyone?"))

    answers = {1: ["one"], 2: ["two", "three"], 0: []}
    asyncio.run(play(solve, lambda step: answers[len(step.calls)]))
    assert heard == ["one", ["two", "three"], "one", None]


def test_async_generators_hear_it_too() -> None:
    heard: list[Any] = []

    async def solve() -> AsyncIterator[Any]:
        heard.append((yield A))

    asyncio.run(play(solve, lambda step: ["one"] if step.calls else []))
    assert heard == ["one"]


def test_what_a_generator_returns_is_its_last_word() -> None:
    def solve() -> Generator[Any, Any, str]:
        yield A
        return "the answer"

    assert asyncio.run(play(solve, lambda step: ["r"]))[-1] == Step(say="the answer", done=True)


@pytest.mark.parametrize("step", [3, None, [A, "b"], ("a",), {"name": "a"}])
def test_what_is_no_step_is_said(step: Any) -> None:
    with pytest.raises(TypeError, match=r"solution\(\) gave .*: a step is a Call, a list of Calls or a str"):
        SolutionSteps(lambda: [step]).advance([])


def test_after_the_end_there_is_only_the_end() -> None:
    steps = SolutionSteps(lambda: [])
    for _ in range(3):
        step = steps.advance([])
        assert isinstance(step, Step) and step.done
        steps.steps.append(step)
