"""From a run's settings to its crew."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from gym_mcp import hub
from gym_mcp.coordinator.config import RunConfig
from gym_mcp.coordinator.connect import Parts
from gym_mcp.coordinator.groups import Groups
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.crew.crew import Crew, shares_of
from gym_mcp.crew.orders import plan
from gym_mcp.crew.shared_journal import SharedJournal
from gym_mcp.crew.waiting import WaitingRoom
from gym_mcp.datasets import parse_task
from gym_mcp.errors import UsageError
from gym_mcp.metrics.tally import Tally
from gym_mcp.reverify.rescore import by_index
from gym_mcp.types import JSONObject, Task

if TYPE_CHECKING:
    from gym_mcp.coordinator.rollout import Arm


def make_crew(
    directory: RunDirectory,
    arm: Arm,
    config: RunConfig,
    parts: Parts,
    tally: Tally,
    done: bytearray,
    groups: Groups | None,
) -> tuple[Crew, Callable[[], Awaitable[bool]]]:
    """The crew of a run, and what it has to do. The caller holds the run's lock."""
    refuse_recorded_judge(config, "--workers")
    if directory.lock_descriptor is None:
        raise ValueError("the run directory is not locked")
    shares = shares_of(min(config.concurrency, tally.expected - tally.done), config.workers or 1)

    def setup(share: int) -> JSONObject:
        return {
            "config": {**config.model_dump(mode="json"), "concurrency": share},
            "workers": len(shares),
            "run_id": arm.run_id,
            "run_dir": str(directory.path.resolve()),
            "path": sys.path,
            "hubs": [str(path) for path in hub.added_roots()],
        }

    crew = Crew(
        arm,
        SharedJournal(directory.rollouts_path),
        tally,
        shares,
        setup=setup,
        lock=directory.lock_descriptor,
        task_at=task_reader(directory, parts),
        waiting=waiting_room(directory, tally, groups),
    )
    orders = plan(directory.tasks_path, tally.repeats, done, groups.give if groups is not None else None)
    return crew, lambda: crew.run_orders(orders)


def refuse_recorded_judge(config: RunConfig, flag: str) -> None:
    """Its replies are in the order of one process."""
    if (config.judge or "").startswith("replay:"):
        raise UsageError(f"{flag}: a recorded judge gives its replies in turn; leave {flag} out")


def waiting_room(directory: RunDirectory, tally: Tally, groups: Groups | None) -> WaitingRoom | None:
    """What waits for its group, taken over from the run's own process."""
    if groups is None:
        return None
    groups.hand_over()
    return WaitingRoom(directory.waiting_path, tally.repeats, groups.repeats_waiting())


def task_reader(directory: RunDirectory, parts: Parts) -> Callable[[int], Task[Any]]:
    """The tasks of a run by their index."""
    rows = by_index(directory.tasks_path)
    return lambda index: parse_task(parts.environment_type, rows(index), str(directory.tasks_path))
