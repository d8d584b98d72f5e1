"""Which tasks runs share: by id and by content, so that a rewritten task is never taken for the old one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gym_mcp.analysis.read import Run, task_digest
from gym_mcp.errors import UsageError
from gym_mcp.metrics.scores import Bounds, TaskScores


@dataclass(frozen=True, slots=True)
class Shared:
    """The tasks that all runs have: their ids, and for each run their indexes in it."""

    ids: list[str]
    indexes: list[list[int]]
    left_out: list[int]
    """For each run, how many of its tasks no other has in the same form."""
    prompts_differ: bool


def shared_tasks(runs: Sequence[Run], *, intersect: bool, across_prompts: bool) -> Shared:
    """The tasks to pair. `UsageError` when the sets differ and `intersect` was not asked for.

    `across_prompts`: tasks count as the same when only their prompts differ, for a comparison of prompts.
    """
    if len({run.manifest["identity"]["tasks"] for run in runs}) == 1:
        ids = runs[0].task_ids()
        return Shared(ids, [list(range(len(ids)))] * len(runs), [0] * len(runs), False)
    tables = [_by_id(run, prompt=not across_prompts) for run in runs]
    first = tables[0]
    common = [i for i in first if all(i in t and t[i][1] == first[i][1] for t in tables[1:])]
    left_out = [len(table) - len(common) for table in tables]
    if any(left_out) and not intersect:
        raise UsageError(_difference(runs, tables, len(common)))
    if not common:
        raise UsageError(f"{runs[0].path} and {runs[-1].path}: no task in common, by id and content")
    differ = across_prompts and any(_prompts(run, common) != _prompts(runs[0], common) for run in runs[1:])
    return Shared(common, [[table[i][0] for i in common] for table in tables], left_out, differ)


def _by_id(run: Run, *, prompt: bool) -> dict[str, tuple[int, bytes]]:
    return {str(row["id"]): (i, task_digest(row, prompt=prompt)) for i, row in enumerate(run.task_rows())}


def _prompts(run: Run, ids: Sequence[str]) -> list[bytes]:
    wanted = set(ids)
    found = {str(row["id"]): task_digest(row) for row in run.task_rows() if str(row["id"]) in wanted}
    return [found[i] for i in ids]


def _difference(runs: Sequence[Run], tables: Sequence[dict[str, tuple[int, bytes]]], common: int) -> str:
    """How the first pair of runs that differ differs."""
    first = tables[0]
    for run, table in zip(runs[1:], tables[1:], strict=True):
        only = len(first.keys() - table.keys()), len(table.keys() - first.keys())
        changed = sum(1 for i in first.keys() & table.keys() if first[i][1] != table[i][1])
        if any(only) or changed:
            detail = (
                f"{only[0]} tasks only in the first, {only[1]} only in the second, "
                f"{changed} with the same id and other content"
            )
            return (
                f"{runs[0].path} and {run.path}: different tasks ({detail}); --intersect compares the {common} "
                "that are the same, --across-prompts those that differ in nothing but the prompt"
            )
    return "different tasks"


def paired_scores(
    runs: Sequence[Run], shared: Shared, metric: str, *, failed_as_worst: bool = False
) -> tuple[list[str], list[TaskScores]]:
    """Ids and scores of the shared tasks that have a score in every run."""
    columns = [
        list(_values(run, at, metric, failed_as_worst)) for run, at in zip(runs, shared.indexes, strict=True)
    ]
    kept = [i for i in range(len(shared.ids)) if all(column[i] for column in columns)]
    bounds = _bounds(runs, metric)
    return [shared.ids[i] for i in kept], [TaskScores.of((c[i] for i in kept), bounds) for c in columns]


def _values(run: Run, indexes: Sequence[int], metric: str, failed_as_worst: bool) -> Iterator[list[float]]:
    values = list(run.sheet.metric_values(metric, failed_as_worst=failed_as_worst))
    return (values[i] for i in indexes)


def _bounds(runs: Sequence[Run], metric: str) -> Bounds:
    """The range that holds all runs' scores of a metric."""
    pairs = [run.sheet.field_bounds(metric) for run in runs]
    return min(low for low, _ in pairs), max(high for _, high in pairs)
