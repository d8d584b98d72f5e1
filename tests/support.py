"""Play episodes for the tests of environments: the reference solution, a replay of a ledger, nothing at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import anyio
import pytest

from gym_mcp.client import EnvironmentClient, EpisodeClient, Verdict
from gym_mcp.coordinator.score import TaskIndex, recorded, score_all
from gym_mcp.datasets import load_tasks
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.types import Call, Item, JSONObject, Task, Transcript, assistant_message

T = TypeVar("T")
SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Published data beside the repository; tests that need it skip when it is absent."""
LIMIT = 60.0
"""Seconds that one `run` may take."""


def missing(what: str) -> NoReturn:
    """Skip a test whose external tool is not to be had; CI, which installs them all, must not skip it."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def run(function: Callable[..., Coroutine[Any, Any, T]], *args: Any, limit: float = LIMIT) -> T:
    """Run an async function to its end, in bounded time (`limit` in seconds)."""

    async def bounded() -> T:
        with anyio.fail_after(limit):
            return await function(*args)

    return anyio.run(bounded)


async def play_solution(client: EnvironmentClient, task: Task[Any], *, seed: int = 0) -> Verdict:
    """Play the environment's reference solution on `task`."""
    return (await play(client, task, seed=seed))[0]


async def play(client: EnvironmentClient, task: Task[Any], *, seed: int = 0) -> tuple[Verdict, Transcript]:
    """Play the reference solution; the verdict and what an agent would have produced."""
    episode = await client.open_episode(task, seed=seed)
    items: list[Item] = []
    results: Sequence[str] = ()
    for index in range(1_000):
        step = await episode.reference_step(index, results)
        results = [await _call(episode, call, items) for call in step.calls]
        if step.say is not None:
            items.append(assistant_message(step.say))
            reply = await episode.agent.reply(step.say)
            results = [] if reply is None else [reply]
        if step.done:
            transcript = Transcript(items)
            return await episode.verify(transcript), transcript
    raise AssertionError("the solution does not end")


async def _call(episode: EpisodeClient, call: Call, items: list[Item]) -> str:
    name, call_id = call.name, f"call_{len(items)}"
    arguments = json.dumps(call.arguments)
    items.append({"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments})
    result = await episode.agent.call(name, call.arguments)
    items.append({"type": "function_call_output", "call_id": call_id, "output": result.text})
    assert not result.is_error, f"{call}: {result.text}"
    return result.text


async def replay(
    client: EnvironmentClient,
    task: Task[Any],
    ledger: Iterable[JSONObject],
    *,
    transcript: Transcript | None = None,
    seed: int = 0,
) -> Verdict:
    """Make the calls of `ledger` in a fresh episode; `transcript` is what verification reads besides."""
    episode = await client.open_episode(task, seed=seed)
    for entry in ledger:
        await episode.agent.call(entry["name"], entry["arguments"])
    return await episode.verify(transcript or Transcript())


async def check_environment(cls: type[Environment[Any]], tasks: Iterable[Task[Any]] | None = None) -> int:
    """On every task: the solution scores 1.0, its replay the same, an agent that does nothing at most the floor.

    Returns how many tasks were checked.
    """
    chosen = list(load_tasks(cls) if tasks is None else tasks)
    async with DirectClient(cls) as client:
        for task in chosen:
            verdict, transcript = await play(client, task)
            assert verdict.reward.score == 1.0, f"{task.id}: oracle {verdict.reward}"
            again = await replay(client, task, verdict.ledger, transcript=transcript)
            assert again.reward == verdict.reward, f"{task.id}: replay {again.reward}"
            assert _outline(again.ledger) == _outline(verdict.ledger), f"{task.id}: another ledger"
            nothing = await replay(client, task, ())
            assert nothing.reward.score <= cls.floor, f"{task.id}: null {nothing.reward}"
    return len(chosen)


def _outline(ledger: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return [(e["name"], e["arguments"], e["result"], e["error"]) for e in ledger]


async def scored_again(cls: type[Environment[Any]], rollouts: Path, tasks: Path) -> list[JSONObject]:
    """What `eval score` says of recorded rollouts, a line each."""
    rows = recorded(cls, rollouts, TaskIndex.of(load_tasks(cls, tasks)))
    async with DirectClient(cls) as client:
        return [line async for line in score_all(client, rows)]
