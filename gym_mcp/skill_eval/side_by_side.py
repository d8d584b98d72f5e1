"""Runs the arms of an experiment at the same time, in step, each into a run directory of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gym_mcp.coordinator.coordinator import Coordinator
from gym_mcp.coordinator.events import Listener
from gym_mcp.coordinator.lanes import Lanes
from gym_mcp.coordinator.run import Outcome, start
from gym_mcp.skill_eval.arms import SkillArm
from gym_mcp.skill_eval.experiment import Experiment

OnReady = Callable[[SkillArm, Coordinator, Lanes], None]


async def run_arms(
    experiment: Experiment, listener: Callable[[SkillArm], Listener], on_ready: OnReady
) -> list[Outcome]:
    """Run what the arms still lack. The caller holds the experiment's lock.

    `UsageError` when an arm is refused, which ends the others: what was journalled is kept.
    """
    configs = experiment.configs()
    lanes = Lanes([arm.name for arm in experiment.arms], configs[0].concurrency, configs[0].seed)

    async def one(number: int) -> Outcome:
        arm, lane = experiment.arms[number], lanes.lanes[number]

        def ready(coordinator: Coordinator) -> None:
            lane.join(coordinator)
            on_ready(arm, coordinator, lanes)

        return await start(configs[number], experiment.run_of(arm), [listener(arm)], ready)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(i)) for i in range(len(configs))]
    except BaseExceptionGroup as errors:
        raise _first(errors) from None
    return [task.result() for task in tasks]


def _first(error: BaseException) -> BaseException:
    """One of the errors of a group: arms that are refused are refused for the same reason."""
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
