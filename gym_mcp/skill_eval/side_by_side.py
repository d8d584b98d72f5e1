"""Runs the arms of an experiment at the same time, in step, each into a run directory of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from gym_mcp.coordinator.events import Event, Listener, RolloutFinished
from gym_mcp.coordinator.mix import Attach, together
from gym_mcp.coordinator.run import OnReady, Outcome
from gym_mcp.skill_eval.experiment import Experiment

Say: TypeAlias = Callable[[str, str], None]
"""What is told of an arm: (its name, a line)."""
FIRST: Final = 10
"""Rollouts after which an arm that has loaded no skill is told of: the experiment may show nothing."""


async def run_arms(experiment: Experiment, attach: Attach, say: Say | None = None) -> list[Outcome]:
    """Run what the arms still lack. The caller holds the experiment's lock.

    The first error of an arm is raised once all have ended: what was journalled is kept.
    """
    configs = experiment.configs()

    def attach_arm(number: int) -> tuple[Iterable[Listener], OnReady]:
        listeners, on_ready = attach(number)
        arm = experiment.arms[number]
        more = [] if say is None or arm.is_control else [Unused(arm.name, say)]
        return [*listeners, *more], on_ready

    outs = [experiment.run_of(arm) for arm in experiment.arms]
    found = await together(configs, configs[0].concurrency, attach_arm, outs=outs, in_step=configs[0].seed)
    outcomes = []
    for one in found:
        if isinstance(one, BaseException):
            raise one
        outcomes.append(one)
    return outcomes


class Unused:
    """Tells, once, of an arm whose first rollouts load no skill."""

    def __init__(self, arm: str, say: Say) -> None:
        self._arm = arm
        self._say = say
        self._ended = 0

    def __call__(self, event: Event) -> None:
        if not isinstance(event, RolloutFinished) or self._ended >= FIRST:
            return
        skills = (event.row.get("harness_facts") or {}).get("skills")
        if isinstance(skills, dict) and any(isinstance(skill.get("loaded"), dict) for skill in skills.values()):
            self._ended = FIRST
            return
        self._ended += 1
        if self._ended == FIRST:
            self._say(self._arm, f"none of the first {FIRST} rollouts loaded a skill (docs/skills.md)")
