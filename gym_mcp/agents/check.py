"""Whether an agent works on this machine: one episode of a counter, with the embedded oracle as its model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from gym_mcp import hub
from gym_mcp.coordinator.meter import Meter
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import HarnessError
from gym_mcp.harness import Limits
from gym_mcp.models.base import RolloutContext
from gym_mcp.models.spec import make_model
from gym_mcp.tools import tool
from gym_mcp.types import Call, Task, Transcript, user_message

LIMITS: Final = Limits(turns=20)
SECONDS: Final = 300.0
"""Until an agent that says nothing is taken for one that hangs; the slowest need 20 s."""


class Counter(Environment[Any]):
    """Raise a counter to 3."""

    def open(self, task: Task[Any]) -> None:
        self.value = 0

    @tool
    def add(self, amount: int) -> int:
        """Add `amount` to the counter and return its new value."""
        self.value += amount
        return self.value

    def verify(self, transcript: Transcript) -> float:
        return float(self.value == 3)

    def solution(self) -> Iterator[Any]:
        yield Call("add", amount=1)
        yield Call("add", amount=2)
        yield "The counter stands at 3."


async def check(name: str, version: str = "") -> str:
    """One line that says what ran. `GymError` when it did not work."""
    _, harness, _ = hub.load_harness(name, {"version": version} if version else {})
    task: Task[Any] = Task(
        "t", [user_message("Raise the counter to 3 with its tools, then say that you are done.")]
    )
    model = make_model("builtin/oracle")
    async with DirectClient(Counter) as client:
        episode = await client.open_episode(task, seed=0)
        try:
            meter = Meter(model.for_rollout(RolloutContext(task, 0, 0, episode)), LIMITS)
            async with asyncio.timeout(SECONDS):
                transcript = await harness.run(episode.agent, meter, LIMITS)
            verdict = await episode.verify(transcript)
        except TimeoutError:
            raise HarnessError(f"{name}: was not done after {SECONDS:.0f} s") from None
        finally:
            if hasattr(harness, "aclose"):
                await harness.aclose()
    if verdict.reward.score != 1.0:
        raise HarnessError(f"{name}: ended well, but made the calls {[e['name'] for e in verdict.ledger]}")
    facts = transcript.facts
    return (
        f"{name} {facts['version']}: works ({facts['seconds']:.1f} s, {facts['cpu_seconds']:.1f} s of processor, "
        f"{facts['peak_mib']} MiB{', contained' if facts['contained'] else ''})"
    )
