"""The live episodes of one environment type: keys, handles, limits, leases, and closing that always happens."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import anyio
import pytest

from gym_mcp import Environment, Task, Transcript, tool
from gym_mcp.episode import Episode
from gym_mcp.errors import EnvironmentBusy, EnvironmentFailure, EpisodeGone, UsageError
from gym_mcp.store import EpisodeStore
from gym_mcp.types import JSONObject
from tests.support import run


class Plain(Environment):
    @tool
    def read(self) -> int:
        return 1

    def verify(self, transcript: Transcript) -> float:
        return 1.0


class Slow(Environment):
    """Waits in `open` and `close` where the task says so; the task's data tells what happened."""

    async def open(self, task: Task) -> None:
        task.data["opened"] = task.data.get("opened", 0) + 1
        if task.data.get("wait"):
            await task.data["gate"].wait()
        if task.data.get("fail"):
            raise RuntimeError("no")

    @tool
    async def wait(self) -> str:
        await self.task.data["gate"].wait()
        return "waited"

    async def close(self) -> None:
        self.task.data["closing"] = True
        await asyncio.sleep(0.01)
        self.task.data["closed"] = self.task.data.get("closed", 0) + 1


def task(**data: Any) -> Task[JSONObject]:
    return Task(data.pop("id", "t"), data={"gate": asyncio.Event(), **data})


async def until(condition: Any) -> None:
    """Let other tasks run until `condition()` holds."""
    async with asyncio.timeout(10.0):
        while not condition():  # noqa: ASYNC110 - what is waited for is the code under test
            await asyncio.sleep(0)


# -- handles and keys --------------------------------------------------------------------------------------------


def test_handles_cannot_be_guessed_and_find_their_episode() -> None:
    async def main() -> None:
        store = EpisodeStore(Plain)
        episodes = [await store.open(task(), n) for n in range(50)]
        handles = {e.handle for e in episodes}
        assert len(handles) == 50 == len(store) and all(len(h) == 36 for h in handles)
        assert all(store.get(e.handle) is e for e in episodes) and set(store) == set(episodes)
        for handle in ("", "x", episodes[0].handle[:-1], episodes[0].handle + "x"):
            with pytest.raises(EpisodeGone, match="no such episode"):
                store.get(handle)

    run(main)


def test_a_key_gives_the_same_live_episode() -> None:
    async def main() -> None:
        store = EpisodeStore(Plain)
        first = await store.open(task(), 1, key="k")
        first.expires = time.monotonic() + 1.0
        assert await store.open(task(), 1, key="k") is first
        assert first.expires > time.monotonic() + 3_000.0, "asking again renews the lease"
        assert await store.open(task(), 1, key="other") is not first
        assert await store.open(task(), 1) is not first
        await store.close(first.handle)
        assert await store.open(task(), 1, key="k") is not first

    run(main)


@pytest.mark.parametrize(("task_id", "seed"), [("other", 1), ("t", 2)])
def test_a_key_belongs_to_one_task_and_seed(task_id: str, seed: int) -> None:
    async def main() -> None:
        store = EpisodeStore(Plain)
        await store.open(task(), 1, key="k")
        with pytest.raises(UsageError, match="key `k` belongs to an episode of another task or seed"):
            await store.open(task(id=task_id), seed, key="k")
        assert len(store) == 1

    run(main)


def test_a_key_whose_episode_expired_opens_a_new_one() -> None:
    async def main() -> None:
        store = EpisodeStore(Plain)
        first = await store.open(task(), 1, key="k")
        first.expires = time.monotonic() - 1.0
        second = await store.open(task(), 1, key="k")
        assert second is not first and store.get(second.handle) is second
        await store.collect()
        assert first.closed and await store.open(task(), 1, key="k") is second

    run(main)


def test_concurrent_opens_of_one_key_open_once() -> None:
    async def main() -> None:
        store, shared = EpisodeStore(Slow), task(wait=True)
        opens = [asyncio.create_task(store.open(shared, 1, key="k")) for _ in range(5)]
        await until(lambda: "opened" in shared.data)
        shared.data["gate"].set()
        episodes = await asyncio.gather(*opens)
        assert len(set(map(id, episodes))) == 1 == len(store) and shared.data["opened"] == 1

    run(main)


def test_concurrent_opens_of_one_key_fail_together_and_the_key_is_free_again() -> None:
    async def main() -> None:
        store, shared = EpisodeStore(Slow), task(wait=True, fail=True)
        opens = [asyncio.create_task(store.open(shared, 1, key="k")) for _ in range(3)]
        await until(lambda: "opened" in shared.data)
        shared.data["gate"].set()
        outcomes = await asyncio.gather(*opens, return_exceptions=True)
        assert [str(o) for o in outcomes] == ["slow.open raised RuntimeError: no"] * 3
        assert len(store) == 0 and shared.data["opened"] == 1 and shared.data["closed"] == 1
        del shared.data["fail"]
        assert isinstance(await store.open(shared, 1, key="k"), Episode)

    run(main)


def test_a_client_that_gives_up_while_opening_leaves_others_a_failure_that_may_be_tried_again() -> None:
    async def main() -> None:
        store, shared = EpisodeStore(Slow), task(wait=True)
        first = asyncio.create_task(store.open(shared, 1, key="k"))
        second = asyncio.create_task(store.open(shared, 1, key="k"))
        await until(lambda: "opened" in shared.data)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(EnvironmentFailure, match="gave up") as error:
            await second
        assert error.value.retryable and len(store) == 0 and shared.data["closed"] == 1

    run(main)


def test_a_waiter_that_gives_up_disturbs_no_opening() -> None:
    async def main() -> None:
        store, shared = EpisodeStore(Slow), task(wait=True)
        first = asyncio.create_task(store.open(shared, 1, key="k"))
        second = asyncio.create_task(store.open(shared, 1, key="k"))
        await until(lambda: "opened" in shared.data)
        second.cancel()
        shared.data["gate"].set()
        assert store.get((await first).handle)

    run(main)


def test_keys_do_not_pile_up() -> None:
    async def main() -> None:
        store = EpisodeStore(Plain, remember=0)
        for n in range(100):
            episode = await store.open(task(), n, key=f"k{n}")
            await store.close(episode.handle)
        assert len(store) == 0 and store._by_key == {} and store._opening == {}

    run(main)


# -- limits ----------------------------------------------------------------------------------------------------


def test_episodes_are_limited_in_number() -> None:
    async def main() -> None:
        store = EpisodeStore(Plain, max_episodes=3)
        episodes = [await store.open(task(), n) for n in range(3)]
        with pytest.raises(EnvironmentFailure, match="3 episodes are open already") as error:
            await store.open(task(), 9)
        assert error.value.retryable
        episodes[0].expires = time.monotonic() - 1.0
        await store.open(task(), 9)
        assert len(store) == 3 and episodes[0].closed, "an expired one makes room"

    run(main)


def test_episodes_that_are_opening_count() -> None:
    async def main() -> None:
        store, shared = EpisodeStore(Slow, max_episodes=1), task(wait=True)
        first = asyncio.create_task(store.open(shared, 1))
        await until(lambda: "opened" in shared.data)
        with pytest.raises(EnvironmentFailure, match="open already"):
            await store.open(task(), 2)
        shared.data["gate"].set()
        await first

    run(main)


def test_an_open_that_fails_leaves_nothing_behind() -> None:
    async def main() -> None:
        store, failing = EpisodeStore(Slow), task(fail=True)
        for _ in range(3):
            with pytest.raises(EnvironmentFailure):
                await store.open(failing, 1)
        assert len(store) == 0 and failing.data["closed"] == 3

    run(main)


@pytest.mark.parametrize(("asked", "given"), [(None, 100.0), (5.0, 5.0), (1_000.0, 100.0)])
def test_a_lease_may_be_shorter_than_the_stores_but_not_longer(asked: float | None, given: float) -> None:
    async def main() -> None:
        episode = await EpisodeStore(Plain, ttl=100.0).open(task(), 1, ttl=asked)
        assert episode.ttl == given and given - 1.0 < episode.expires - time.monotonic() <= given

    run(main)


# -- collection and closing --------------------------------------------------------------------------------------


def test_expired_episodes_are_gone_and_collected() -> None:
    async def main() -> None:
        store = EpisodeStore(Slow)
        tasks = [task(id=str(n)) for n in range(4)]
        episodes = [await store.open(t, 1) for t in tasks]
        for episode in episodes[:2]:
            episode.expires = time.monotonic() - 1.0
            with pytest.raises(EpisodeGone):
                store.get(episode.handle)
        assert await store.collect() == 2 and await store.collect() == 0
        assert [t.data.get("closed", 0) for t in tasks] == [1, 1, 0, 0] and len(store) == 2
        assert store.finished(episodes[0].handle) is episodes[0]

    run(main)


def test_a_call_in_progress_is_not_collected() -> None:
    async def main() -> None:
        store, shared = EpisodeStore(Slow), task()
        episode = await store.open(shared, 1)
        call = asyncio.create_task(episode.call("wait", {}))
        await asyncio.sleep(0)
        episode.expires = time.monotonic() - 1.0
        assert await store.collect() == 0
        shared.data["gate"].set()
        assert (await call).text == "waited" and store.get(episode.handle) is episode

    run(main)


def test_closing_is_idempotent_and_remembers_some_verdicts() -> None:
    async def main() -> None:
        store = EpisodeStore(Plain, remember=2)
        episodes = [await store.open(task(), n) for n in range(3)]
        for episode in episodes:
            await episode.verify(Transcript())
            await store.close(episode.handle)
            await store.close(episode.handle)
        await store.close("unknown")
        remembered = [store.finished(e.handle) for e in episodes]
        assert remembered == [None, episodes[1], episodes[2]] and store.finished("unknown") is None
        assert (await episodes[1].verify(Transcript())).score == 1.0

    run(main)


def test_an_episode_is_closed_to_the_end_even_if_the_caller_is_cancelled() -> None:
    async def main() -> None:
        store, shared = EpisodeStore(Slow), task()
        episode = await store.open(shared, 1)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.close(episode.handle)
        await store.close_all()
        assert shared.data["closed"] == 1

    run(main)


def test_closing_waits_for_the_call_in_progress() -> None:
    async def main() -> None:
        store, shared = EpisodeStore(Slow), task()
        episode = await store.open(shared, 1)
        call = asyncio.create_task(episode.call("wait", {}))
        await asyncio.sleep(0)
        closing = asyncio.create_task(store.close(episode.handle))
        await asyncio.sleep(0)
        assert "closing" not in shared.data and len(store) == 0
        shared.data["gate"].set()
        await closing
        assert (await call).text == "waited" and shared.data["closed"] == 1

    run(main)


def test_close_all_closes_everything_at_once() -> None:
    async def main() -> None:
        store = EpisodeStore(Slow)
        tasks = [task(id=str(n)) for n in range(200)]
        for t in tasks:
            await store.open(t, 1)
        started = time.monotonic()
        await store.close_all()
        assert len(store) == 0 and all(t.data["closed"] == 1 for t in tasks)
        assert time.monotonic() - started < 1.5, "200 times 0.01 s, one after the other"

    run(main)


# -- room ---------------------------------------------------------------------------------------------------------


class Few(Plain):
    max_live = 2


def test_a_class_says_how_many_it_holds() -> None:
    assert EpisodeStore(Few).max_episodes == 2 and EpisodeStore(Few, max_episodes=1).max_episodes == 1
    for wrong in (0, -1, True, 2.5, "8"):
        with pytest.raises(UsageError, match="max_live is a number of episodes from 1, or None, not"):
            type("Wrong", (Plain,), {"max_live": wrong})


def test_whoever_waits_gets_the_room_that_another_leaves() -> None:
    async def main() -> None:
        store = EpisodeStore(Few)
        first, second = [await store.open(task(), n, key=f"run/t/{n}") for n in range(2)]
        with pytest.raises(EnvironmentBusy, match="2 episodes are open already") as busy:
            await store.open(task(), 9)
        assert busy.value.retryable and busy.value.retry_after > 0
        waiting = [asyncio.create_task(store.open(task(), n, key=f"run/t/{n}", wait=5)) for n in (5, 6, 7)]
        other = asyncio.create_task(store.open(task(), 8, key="other/t/8", wait=5))
        await asyncio.sleep(0)
        await store.close(first.handle)
        await store.close(second.handle)
        got = [await waiting[0], await other]
        assert len(store) == 2 and not waiting[1].done(), "runs take turns"
        with pytest.raises(EnvironmentBusy):
            await store.open(task(), 9)  # nobody gets in before those that wait
        for episode in got:
            await store.close(episode.handle)
        assert {(await w).seed for w in waiting[1:]} == {6, 7}

    run(main)


def test_a_wait_for_room_ends_and_leaves_nothing_behind() -> None:
    async def main() -> None:
        store, there = EpisodeStore(Few), True

        async def wanted() -> bool:
            return there

        live = [await store.open(task(), n) for n in range(2)]
        with pytest.raises(EnvironmentBusy):
            await store.open(task(), 2, wait=0.01)
        there = False
        gone = asyncio.create_task(store.open(task(), 3, wait=5, wanted=wanted))
        cancelled = asyncio.create_task(store.open(task(), 4, wait=5))
        await asyncio.sleep(0)
        cancelled.cancel()
        await store.close(live[0].handle)
        with pytest.raises(EnvironmentFailure, match="went away"):
            await gone
        assert len(store) == 1, "nobody is there to take it"
        await store.open(task(), 5)
        with pytest.raises(EnvironmentBusy):
            await store.open(task(), 6)

    run(main)


def test_what_is_closing_holds_its_room() -> None:
    async def main() -> None:
        store, shared = EpisodeStore(Slow, max_episodes=1), task()
        episode = await store.open(shared, 1)
        closing = asyncio.create_task(store.close(episode.handle))
        await until(lambda: "closing" in shared.data)
        with pytest.raises(EnvironmentBusy):
            await store.open(task(), 2)
        await closing
        await store.open(task(), 2)

    run(main)


def test_a_handle_of_another_server_is_worth_another_episode() -> None:
    async def main() -> None:
        old, new = EpisodeStore(Plain), EpisodeStore(Plain)
        handle = (await old.open(task(), 1)).handle
        with pytest.raises(EpisodeGone, match="the server was replaced") as error:
            new.get(handle)
        assert error.value.retryable
        await old.close(handle)
        with pytest.raises(EpisodeGone, match="closed or expired") as error:
            old.get(handle)
        assert not error.value.retryable

    run(main)


class Busy(Environment):
    """A tool that only reads, and takes a while."""

    @tool(read_only=True)
    async def read(self) -> str:
        """Read."""
        await asyncio.sleep(0.005)
        return "read"

    def verify(self, transcript: Transcript) -> float:
        return 1.0


def test_an_episode_that_calls_often_does_not_starve_another() -> None:
    async def main() -> None:
        store = EpisodeStore(Busy, max_calls=2, ttl=0.05)
        often, once = [await store.open(task(), n) for n in range(2)]
        calls = [asyncio.create_task(often.call("read", {})) for _ in range(60)]
        await asyncio.sleep(0)
        assert store.slots is not None and store.slots.taken == 2
        assert (await once.call("read", {})).text == "read"
        assert len(often.ledger) <= 4
        results = await asyncio.gather(*calls)
        assert {result.text for result in results} == {"read"}, "the wait does not use up the lease"
        assert store.slots.taken == 0

    run(main)
