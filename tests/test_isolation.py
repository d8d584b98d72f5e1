"""Episodes that are played at the same time share nothing, on the loop and in threads."""

from __future__ import annotations

import asyncio
import threading
import time

from gym_mcp import Environment, Task, Transcript, tool
from gym_mcp.bounded import Runner
from tests.environments.bench import Bench, inside, opened
from tests.support import run

# -- isolation --------------------------------------------------------------------------------------------------


def test_two_interleaved_episodes_share_no_state() -> None:
    class Dice(Bench):
        @tool
        async def roll(self) -> int:
            await asyncio.sleep(0)
            return self.rng.randrange(10**9)

    async def alone(seed: int, plays: int) -> list[str]:
        episode = await opened(Dice, seed=seed)
        return [(await episode.call("roll", {})).text for _ in range(plays)]

    async def main() -> None:
        apart = [await alone(seed, 5) for seed in (1, 2)]
        assert list(await asyncio.gather(alone(1, 5), alone(2, 5))) == apart and apart[0] != apart[1]
        one, other = await opened(), await opened()
        for amount in range(5):
            await asyncio.gather(one.call("add", {"amount": amount}), other.call("add", {"amount": -amount}))
        assert (inside(one).value, inside(other).value) == (10, -10)

    run(main)


def test_episodes_of_a_slow_class_are_played_in_threads_with_the_same_result() -> None:
    class Heavy(Environment):
        call_timeout = 5.0

        def open(self, task: Task) -> None:
            self.value = 0

        @tool
        def add(self, amount: int) -> int:
            before = self.value
            time.sleep(0.001)
            self.value = before + amount
            return self.value

        def verify(self, transcript: Transcript) -> float:
            return float(self.value == 10)

    async def play() -> float:
        episode = await opened(Heavy)
        await asyncio.gather(*(episode.call("add", {"amount": n}) for n in range(5)))
        reward = await episode.verify(Transcript())
        await episode.close()
        return reward.score

    async def main() -> None:
        here = await play()
        Runner._slow.add(Heavy)
        assert [here, *await asyncio.gather(*(play() for _ in range(40)))] == [1.0] * 41

    run(main)


def test_a_cancelled_call_in_a_thread_ends_before_the_next_one_starts() -> None:
    class Threaded(Environment):
        value = 0

        def open(self, task: Task) -> None:
            self.begun, self.gate = threading.Event(), threading.Event()

        @tool
        def add(self, amount: int, wait: bool = False) -> int:
            before = self.value
            self.begun.set()
            if wait:
                self.gate.wait(10.0)
            self.value = before + amount
            return self.value

    Runner._slow.add(Threaded)

    async def main() -> None:
        episode = await opened(Threaded)
        call = asyncio.create_task(episode.call("add", {"amount": 1, "wait": True}))
        await asyncio.to_thread(inside(episode).begun.wait, 10.0)
        call.cancel()
        await asyncio.wait([call])
        following = asyncio.create_task(episode.call("add", {"amount": 2}))
        inside(episode).gate.set()
        assert (await following).text == "3", "neither lost nor interleaved"
        assert [e.error for e in episode.ledger] == ["cancelled", None]

    run(main)
