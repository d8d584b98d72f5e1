"""Several runs at once, in one process: a directory for each; the slots and the endpoints' limits are shared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

from gym_mcp.coordinator.beside import beside
from gym_mcp.coordinator.config import RunConfig
from gym_mcp.coordinator.connect import Parts
from gym_mcp.coordinator.events import Listener
from gym_mcp.coordinator.memory import available_mib
from gym_mcp.coordinator.run import OnReady, Outcome, go_on, opened
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.coordinator.shares import Share, Slots
from gym_mcp.errors import UsageError
from gym_mcp.models.base import Model
from gym_mcp.models.http import HTTPModel
from gym_mcp.models.lanes import Lanes
from gym_mcp.models.limiter import AdaptiveLimiter
from gym_mcp.observe.observed import Observe

Attach: TypeAlias = Callable[[int], tuple[Iterable[Listener], OnReady]]
"""The listeners of a run by its number, and who is told of its coordinator."""
Cell: TypeAlias = tuple[RunConfig, RunDirectory, Parts]


async def together(
    configs: Sequence[RunConfig],
    concurrency: int,
    attach: Attach,
    *,
    outs: Sequence[Path] | None = None,
    in_step: int | None = None,
    observe: Observe | None = None,
) -> list[Outcome | BaseException]:
    """Run all of `configs`, at most `concurrency` rollouts at a time; what became of each.

    `outs`: their directories, which may hold these very runs and are gone on with. `in_step`: as in `Slots`.
    A mistake in any of them is found before one starts (`UsageError`). After that, no run's failure is another's.
    """
    for flag, given in (
        ("--workers", any((config.workers or 1) > 1 for config in configs)),
        ("--ray", any(config.ray is not None for config in configs)),
    ):
        if given:
            raise UsageError(f"--together: its runs share one process; leave out {flag}")
    slots = Slots(concurrency, available_mib(), in_step=in_step)
    async with AsyncExitStack() as stack:
        cells = await _open_all(stack, configs, outs or [None] * len(configs))
        _share_endpoints([(config, parts) for config, _, parts in cells], concurrency)
        shares = [
            slots.join(
                min(config.concurrency, concurrency),
                weight=config.share,
                each_mib=getattr(parts.harness, "memory_mib", 0),
            )
            for config, _, parts in cells
        ]

        async def run(number: int, share: Share) -> Outcome:
            config, directory, parts = cells[number]
            try:
                return await go_on(directory, config, parts, *attach(number), share, observe)
            finally:
                share.leave()

        async with beside(slots.open()):
            runs = [run(number, share) for number, share in enumerate(shares)]
            return await asyncio.gather(*runs, return_exceptions=True)


async def _open_all(
    stack: AsyncExitStack, configs: Sequence[RunConfig], outs: Sequence[Path | None]
) -> list[Cell]:
    """All that `configs` name. Nothing is left of any when one of them is a mistake."""
    cells: list[Cell] = []
    old = [out is not None and RunDirectory(out).exists() for out in outs]
    try:
        for config, out in zip(configs, outs, strict=True):
            cells.append((config, *await stack.enter_async_context(opened(config, out))))
    except BaseException as e:
        for there, (_, directory, _) in zip(old, cells, strict=False):
            if not there:
                directory.undo()
        if isinstance(e, UsageError):
            raise UsageError(f"{config.environment}, {config.model}, {config.harness}: {e}") from None
        raise
    return cells


def _share_endpoints(cells: Iterable[tuple[RunConfig, Parts]], concurrency: int) -> None:
    """Give the models (and judges) of one endpoint one limit, and each run a line of its own at it."""
    lanes: dict[Hashable, Lanes] = {}
    for config, parts in cells:
        asked: list[Model | None] = [parts.model, getattr(parts.environment_type.judge, "model", None)]
        for model in asked:
            if isinstance(model, HTTPModel):
                if model.endpoint not in lanes:
                    lanes[model.endpoint] = Lanes(AdaptiveLimiter(max(concurrency, model.limiter.maximum)))
                model.limiter = lanes[model.endpoint].lane(config.share)
