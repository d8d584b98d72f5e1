"""Groups of a run scored again, after their rollouts were, each alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gym_mcp.client import EnvironmentClient
from gym_mcp.coordinator.groups import ALONE, as_alone, score_group
from gym_mcp.types import JSONObject, Task

Find = Callable[[int, int], JSONObject | None]


async def score_groups_again(
    client: EnvironmentClient,
    task_of: Callable[[int], Task[Any]],
    size: tuple[int, int],
    now: Find,
    before: Find,
    write: Callable[..., None],
) -> None:
    """Score each group that has a rollout with a new score of its own; `write` gets all rows of the group.

    `now(task index, repeat)` is the row as it has been scored again, alone or by its group already; `before` the
    row as it was.
    """
    tasks, repeats = size
    for index in range(tasks):
        fresh = [row for repeat in range(repeats) if (row := now(index, repeat)) is not None]
        if all(ALONE in row for row in fresh):
            continue
        known = {row["repeat"]: row for row in fresh}
        rows = [known.get(repeat) or before(index, repeat) for repeat in range(repeats)]
        group = [as_alone(row) for row in rows if row is not None]
        await score_group(client, task_of(index), group)
        write(*group)
