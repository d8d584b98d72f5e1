"""Runs all checks on one environment class."""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

from gym_mcp.datasets import load_tasks
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import JudgeError, RolloutError, UsageError
from gym_mcp.report_card import declared, robustness, sameness, scoring
from gym_mcp.report_card.card import Check, ReportCard, fail, skip
from gym_mcp.report_card.exam import Effort, Exam
from gym_mcp.store import EpisodeStore
from gym_mcp.types import Task

NO_TASKS: Final = "no tasks: write tasks.jsonl, a tasks() method, or give --input FILE.jsonl"
CHECKS: Final[tuple[Callable[[Exam], Awaitable[Check]], ...]] = (
    declared.schema,
    declared.rows,
    scoring.oracle,
    scoring.null,
    scoring.constants,
    sameness.replay,
    sameness.seed,
    sameness.interleaved,
    declared.no_leak,
    robustness.answers,
    robustness.calls,
    scoring.snapshot,
    robustness.growth,
)


async def examine(
    cls: type[Environment[Any]],
    *,
    tasks: Iterable[Task[Any]] | None = None,
    source: Path | None = None,
    seed: int = 0,
    limit: int | None = None,
    effort: Effort | None = None,
    on_check: Callable[[str], None] | None = None,
) -> ReportCard:
    """Examine an environment on `tasks`, on the rows of the file `source`, or on its own; at most `limit` of them.

    `on_check` hears the name of each check as it begins.
    Raises `UsageError` for rows of `source` that do not fit; the environment's own are its own fault and fail a
    check.
    """
    started = time.monotonic()
    card = ReportCard(cls.name, cls.version, seed)
    chosen: list[Task[Any]] = []
    unfit = ""
    try:
        wanted = load_tasks(cls, source) if tasks is None else tasks
        chosen = list(itertools.islice(wanted, limit))
    except UsageError as e:
        if source is not None:
            raise
        unfit = str(e)
    card.num_tasks = len(chosen)
    # Nothing is remembered of closed episodes: what grows is the environment's.
    client = DirectClient(cls, store=EpisodeStore(cls, remember=0))
    async with client:
        exam = Exam(cls, chosen, seed, effort or Effort(), client)
        for check in (*CHECKS, sameness.group) if cls.has("verify_group") else CHECKS:
            if on_check is not None:
                on_check(getattr(check, "__name__", ""))
            card.checks.append(_once(await _run(check, exam, unfit), card.checks))
        card.timing = exam.timing()
    card.seconds = round(time.monotonic() - started, 3)
    return card


def _once(check: Check, before: Iterable[Check]) -> Check:
    """`check`, or a pointer to an earlier one that failed for the very same reason."""
    for other in before:
        if check.status == other.status == "fail" and check.reason == other.reason:
            return skip(check.name, f"cannot be checked before `{other.name}` is mended")
    return check


async def _run(check: Callable[[Exam], Awaitable[Check]], exam: Exam, unfit: str) -> Check:
    name = getattr(check, "__name__", "")
    if unfit and check is declared.rows:
        return fail(name, "the tasks do not load", [("", unfit)])
    if not exam.tasks and check is not declared.schema:
        return skip(name, "the tasks do not load" if unfit else NO_TASKS if check is declared.rows else "no tasks")
    try:
        return await check(exam)
    except JudgeError as e:
        return skip(name, f"needs a judge model: {e}")
    except RolloutError as e:
        lines = e.detail.strip().splitlines()
        return fail(name, str(e), [("", lines[-1])] if lines else [])
    except UsageError as e:
        return fail(name, str(e))
