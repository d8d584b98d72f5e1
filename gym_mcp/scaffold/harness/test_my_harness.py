"""The harness plays an episode with tools: the reference solution gets full marks, saying nothing gets none."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from gym_mcp import Call, Environment, Task, tool
from gym_mcp.coordinator.rollout import Arm, run_rollout
from gym_mcp.direct import DirectClient
from gym_mcp.harness import Limits
from gym_mcp.hub import load_harness
from gym_mcp.models.spec import make_model
from gym_mcp.types import JSONObject, Transcript, user_message

HARNESS = str(Path(__file__).with_name("harness.py"))


class Counter(Environment[Any]):
    """Count to two and say so."""

    def open(self, task: Task[Any]) -> None:
        self.value = 0

    @tool
    def add(self, amount: int) -> int:
        """Add `amount`."""
        self.value += amount
        return self.value

    def verify(self, transcript: Transcript) -> float:
        return float((self.value, transcript.answer) == (2, "2"))

    def solution(self) -> Generator[Any, Any, None]:
        yield Call("add", amount=1)
        text = yield Call("add", amount=1)
        yield text


def play(model: str, **limits: Any) -> JSONObject:
    async def main() -> JSONObject:
        name, harness, _ = load_harness(HARNESS)
        async with DirectClient(Counter) as client, asyncio.timeout(30):
            arm = Arm("test", 0, "counter", client, make_model(model), name, harness, Limits(**limits), 1)
            return await run_rollout(arm, Task("two", [user_message("Count to two.")]), 0, 0)

    return asyncio.run(main())


@pytest.mark.parametrize(("model", "reward"), [("builtin/oracle", 1.0), ("builtin/null", 0.0)])
def test_it_plays_an_episode(model: str, reward: float) -> None:
    row = play(model)
    assert (row["failure"], row["reward"], row["response"]["stop"]) == (None, reward, "completed")


def test_a_spent_budget_ends_it_scored() -> None:
    row = play("builtin/oracle", turns=2)
    assert (row["failure"], row["response"]["stop"], len(row["ledger"])) == (None, "max_turns", 2)
