"""The direct rung: what only it does. What all rungs do alike is in `test_ladder`."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from gym_mcp import Environment, Task, Transcript
from gym_mcp.direct import DirectClient, collect_forever, describe
from gym_mcp.errors import EnvironmentFailure, EpisodeGone, VerifierError
from gym_mcp.store import EpisodeStore
from tests.environments.bench import Bench
from tests.support import run


def task(**data: Any) -> Task[Any]:
    return Task("t", data=data)


def test_a_description_says_what_the_class_says() -> None:
    class Golf(Bench):
        """Play golf.

        More.
        """

        version = "3"
        reward_range = (0.0, 18.0)
        higher_is_better = False
        floor = 18.0

    found = describe(Golf, num_tasks=7)
    assert (found.name, found.version, found.summary, found.num_tasks) == ("golf", "3", "Play golf.", 7)
    assert (found.reward_range, found.higher_is_better, found.floor) == ((0.0, 18.0), False, 18.0)
    assert (found.interaction, found.has_solution) == ("multi_turn", False)
    add = next(t for t in found.tools if t["name"] == "add")
    assert add["outputSchema"] == {"type": "integer"} and add["readOnly"] is False
    assert set(found.identity) == {"environment", "verifier", "options"}


def test_a_verdict_closes_the_episode_and_may_be_asked_for_again() -> None:
    async def main() -> None:
        async with DirectClient(Bench) as client:
            assert isinstance(client, DirectClient)
            shared = task()
            episode = await client.open_episode(shared, seed=1)
            await episode.agent.call("add", {"amount": 3})
            verdict = await episode.verify(Transcript())
            assert verdict.reward.score == 1.0 and [e["name"] for e in verdict.ledger] == ["add"]
            assert shared.data["closed"] == [True] and len(client.store) == 0
            assert (await episode.verify(Transcript())).reward == verdict.reward
            with pytest.raises(EpisodeGone):
                await episode.state()

    run(main)


def test_a_failed_verdict_closes_the_episode_and_stays_the_verifiers_failure() -> None:
    async def main() -> None:
        async with DirectClient(Bench) as client:
            shared = task(verify="raise")
            episode = await client.open_episode(shared, seed=1)
            for _ in range(2):
                with pytest.raises(VerifierError):
                    await episode.verify(Transcript())
            assert shared.data["closed"] == [True] and shared.data["verifications"] == [1]
            assert await episode.ledger() == []

    run(main)


def test_a_store_that_is_given_is_used_even_when_empty() -> None:
    async def main() -> None:
        store = EpisodeStore(Bench, max_episodes=1)
        async with DirectClient(Bench, store=store) as client:
            await client.open_episode(task(), seed=1)
            with pytest.raises(EnvironmentFailure, match="1 episodes are open"):
                await client.open_episode(task(), seed=2)

    run(main)


def test_leaving_closes_what_is_open_and_leaves_no_task_behind() -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        shared = task()
        async with DirectClient(Bench) as client:
            await client.open_episode(shared, seed=1)
            assert len(asyncio.all_tasks() - before) == 1, "the collector"
        assert shared.data["closed"] == [True] and asyncio.all_tasks() == before

    run(main)


def test_expired_episodes_are_collected_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gym_mcp.direct.COLLECT_EVERY", 0.01)

    async def main() -> None:
        closed = asyncio.Event()

        class Watched(Environment):
            def close(self) -> None:
                closed.set()

        store = EpisodeStore(Watched)
        episode = await store.open(task(), 1)
        episode.expires = time.monotonic() - 1.0
        collector = asyncio.create_task(collect_forever(store))
        async with asyncio.timeout(5.0):
            await closed.wait()
        collector.cancel()
        await asyncio.wait([collector])
        assert len(store) == 0

    run(main)


def test_the_bundled_tasks_come_as_rows() -> None:
    class Three(Environment):
        @classmethod
        def tasks(cls) -> list[Any]:
            return [{"id": str(n), "prompt": "Go.", "data": {"n": n}} for n in range(3)]

    async def main() -> list[Any]:
        return [row async for row in DirectClient(Three).tasks()]

    rows = run(main)
    assert [(r["id"], r["data"]) for r in rows] == [("0", {"n": 0}), ("1", {"n": 1}), ("2", {"n": 2})]
