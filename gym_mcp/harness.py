"""What turns a model into an agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gym_mcp.client import AgentSession
from gym_mcp.models.base import Model
from gym_mcp.types import Transcript


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets of one rollout; None is no limit.

    `turns` model calls, `tokens` input plus output over all calls, `cost` in US dollars: when one is spent the
    agent stops and is scored on what it did. `seconds` is a guard against hanging, not a budget: past it the
    rollout fails with kind `timeout`, because time depends on the machine's load.
    """

    turns: int | None = 100
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None


class Harness(Protocol):
    """A harness module has `async def run(session, model, limits)`; it sees the agent plane and a model only."""

    async def run(self, session: AgentSession, model: Model, limits: Limits) -> Transcript: ...
