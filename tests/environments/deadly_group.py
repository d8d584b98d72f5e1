"""The deadly environment, scored together; `{"dies": "group"}` kills the process that scores the group."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence

from gym_mcp import GroupRollout, Task
from tests.environments.deadly import Deadly


class Together(Deadly):
    """Call `step` once; the group shares one point."""

    @classmethod
    async def verify_group(cls, task: Task, rollouts: Sequence[GroupRollout]) -> list[float]:
        if task.data.get("dies") == "group":
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(cls.options.seconds)
        return [1 / len(rollouts) for _ in rollouts]
