"""Thousands of rollouts start a few at a time, and no more of them than there is work for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gym_mcp.coordinator.coordinator import Coordinator
from gym_mcp.coordinator.ramp import BATCH, ramp
from gym_mcp.coordinator.run import start
from tests.coordinator.kit import POISONED, config, rows, write_rows
from tests.support import run


def test_others_have_their_turn_between_the_batches() -> None:
    async def main() -> list[int]:
        seen: list[int] = []
        started: list[int] = []

        async def other() -> None:
            while len(started) < 5 * BATCH:
                seen.append(len(started))
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        async for i in ramp(5 * BATCH):
            started.append(i)  # noqa: PERF401 - the other task looks at it meanwhile
        await task
        assert started == list(range(5 * BATCH))
        return sorted(set(seen))

    assert run(main) == [BATCH, 2 * BATCH, 3 * BATCH, 4 * BATCH]


def test_slots_that_nothing_needs_are_not_started(tmp_path: Path) -> None:
    """All 4,096 would take five seconds to start."""
    count = 4_096
    input = write_rows(tmp_path / "rows.jsonl", rows(count))
    made = config(POISONED, "builtin/null", input=input, concurrency=count)
    found: list[Coordinator] = []
    done = run(lambda: start(made, tmp_path / "run", on_ready=found.append))
    assert done.complete and done.metrics["expected"] == count
    assert len(found[0]._workers) < count / 4
