"""What the checks of one examination share: the class, its tasks, a client, and the plays made so far."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import EnvironmentFailure
from gym_mcp.models.sampler import Sampler
from gym_mcp.report_card.card import Timing
from gym_mcp.report_card.play import Trace, perform, perform_solution
from gym_mcp.seeds import episode_seed
from gym_mcp.types import Call, GroupRollout, Item, Reward, Task


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried. `seconds` bounds each of the checks that repeat (fuzzing, growth), not the oracle."""

    fuzz: int = 1_000
    episodes: int = 1_000
    interleaved: int = 50
    sample: int = 20
    seconds: float = 3.0


@dataclass(slots=True)
class Exam:
    """One examination of one environment class."""

    cls: type[Environment[Any]]
    tasks: Sequence[Task[Any]]
    seed: int
    effort: Effort
    client: DirectClient
    traces: dict[str, Trace] = field(default_factory=dict)
    stuck: EnvironmentFailure | None = None
    """Why nothing is played any more."""

    def episode_seed(self, task: Task[Any], repeat: int = 0) -> int:
        return episode_seed(self.seed, task.id, repeat)

    def sample(self, size: int | None = None) -> list[Task[Any]]:
        """At most `size` tasks, evenly spaced over all."""
        size = min(size or self.effort.sample, len(self.tasks))
        return [self.tasks[i * len(self.tasks) // size] for i in range(size)]

    def budget(self, count: int, least: int = 10) -> Iterator[int]:
        """0, 1, ... up to `count`, or to the end of the check's time, but at least `least`."""
        stop = time.monotonic() + self.effort.seconds
        for i in range(count):
            if i >= least and time.monotonic() > stop:
                return
            yield i

    async def trace(self, task: Task[Any]) -> Trace:
        """The play of `task` that other plays are compared with: the solution, or random calls without one."""
        if self.stuck is not None:
            raise self.stuck.with_traceback(None)
        if task.id not in self.traces:
            started = time.monotonic()
            try:
                self.traces[task.id] = await self.play(task)
            except EnvironmentFailure as e:
                if time.monotonic() - started >= self.cls.call_timeout:  # each further play would wait as long
                    self.stuck = e
                raise
        return self.traces[task.id]

    async def play(self, task: Task[Any], repeat: int = 0) -> Trace:
        """A fresh play of the solution, or of the task's random calls."""
        return await play_task(self.client, self.cls, task, self.episode_seed(task, repeat))

    async def nothing(self, task: Task[Any]) -> Trace:
        """A play that does and says nothing."""
        return await perform(self.client, task, self.episode_seed(task), ())

    async def against_nothing(self, task: Task[Any]) -> tuple[Reward, Reward]:
        """Rewards of the kept play and of one that does nothing, of the two as a group."""
        first, second = await self.grouped(task, [await self.trace(task), await self.nothing(task)])
        return first, second

    async def grouped(self, task: Task[Any], traces: Sequence[Trace]) -> list[Reward]:
        """The rewards that plays of one task get as a group, in their order."""
        members = [GroupRollout(i, t.transcript, t.reward, t.ledger) for i, t in enumerate(traces)]
        return (await self.client.verify_group(task, members)).rewards

    def timing(self) -> Timing:
        """Times of the plays kept."""
        if not self.traces:
            return Timing()
        opens = [1e3 * trace.open_seconds for trace in self.traces.values()]
        calls = [1e3 * (e["end"] - e["start"]) for trace in self.traces.values() for e in trace.ledger]
        if not calls:
            return Timing(round(median(opens), 4))
        return Timing(round(median(opens), 4), round(median(calls), 4), round(max(calls), 4), len(calls))


async def play_task(client: DirectClient, cls: type[Environment[Any]], task: Task[Any], seed: int) -> Trace:
    """Play the solution, or a few random calls drawn from the seed where there is none."""
    if cls.has("solution"):
        return await perform_solution(client, task, seed)
    episode = await client.open_episode(task, seed=seed)
    try:
        tools = [spec.as_function() for spec in await episode.agent.list_tools()]
    finally:
        await episode.close()
    rng = random.Random(seed)
    return await perform(
        client, task, seed, [*(random_call(tools, rng) for _ in range(8 if tools else 0)), "done"]
    )


def random_call(tools: Sequence[Item], rng: random.Random) -> Call:
    """A call of one of the tools with arguments that its schema allows."""
    tool = rng.choice(tools)
    value = Sampler(tool["parameters"], rng).sample()
    return Call(tool["name"], **(value if isinstance(value, dict) else {}))


__all__ = ["Effort", "Exam", "play_task", "random_call"]
