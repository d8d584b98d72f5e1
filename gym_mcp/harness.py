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
    """A harness sees the agent plane and a model, nothing else.

    A module with `async def run(session, model, limits)` is one. A module that takes options has a class
    `Options` (of `gym_mcp.options.Options`) and `def create(options)`, which returns an object with `run`; its
    `argument = "OPTION"` names the option that `NAME:VALUE` sets. Such an object may also have:

    - `identity() -> dict`: what decides its rollouts besides its code and options (the version of a binary, the
      hash of a file that it loads), part of the run's identity;
    - `async aclose()`: called once, after the last rollout;
    - `memory_mib: int`: memory of one rollout, where that bounds how many may run at a time;
    - `processes`: with `async sizes() -> [(program, MiB), ...]`, largest first, and `program.end(why)`: then their
      memory is watched (`docs/scale.md`).
    """

    async def run(self, session: AgentSession, model: Model, limits: Limits) -> Transcript: ...
