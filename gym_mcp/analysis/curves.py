"""Numbers by k: pass@k and pass^k, best and worst of k, majority of k."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from math import fsum, inf, isnan
from typing import Final, TypeVar

from gym_mcp.analysis.estimates import as_json, single
from gym_mcp.analysis.sheet import NO_ANSWER, SCORED, Sheet
from gym_mcp.metrics.estimators import pass_at_k, pass_hat_k
from gym_mcp.metrics.intervals import new_tasks_interval
from gym_mcp.metrics.order import EXACT, Votes, best_of_k, majority_at_k, worst_of_k
from gym_mcp.metrics.scores import Bounds, TaskScores
from gym_mcp.types import JSONObject

_EVERY_K: Final = 128
_EVERY_ROLLOUT: Final = 250_000
Item = TypeVar("Item", bound=Hashable)


def which_k(most: int, rollouts: int) -> list[int]:
    """Every k up to `most`; powers of two and the last where that would take minutes."""
    if rollouts <= _EVERY_ROLLOUT and most <= _EVERY_K:
        return list(range(1, most + 1))
    return sorted({*(2**i for i in range(most.bit_length())), most} - {0})


def curve(
    items: Iterable[Item],
    size: Callable[[Item], int],
    value: Callable[[Item, int], float],
    bounds: Bounds,
    repeats: float = inf,
) -> list[JSONObject]:
    """`value(task, k)` averaged over the tasks that have k rollouts.

    `all_tasks` is false where some tasks have fewer: such a point is not comparable with those before it.
    `repeats` belongs to the interval of single rollouts (`score_interval`).
    """
    groups = Counter(items)
    everything = groups.total()
    sizes = {item: size(item) for item in groups}
    rows: list[JSONObject] = []
    rollouts = sum(sizes[item] * times for item, times in groups.items())
    for k in which_k(max(sizes.values(), default=0), rollouts):
        means: list[float] = []
        for item, times in groups.items():
            if sizes[item] >= k:
                means += [value(item, k)] * times
        rows.append(
            {
                "k": k,
                "value": fsum(means) / len(means),
                "tasks": len(means),
                "all_tasks": len(means) == everything,
                "new_tasks": as_json(new_tasks_interval(means, bounds, repeats=repeats if k == 1 else inf)),
            }
        )
    return rows


def pass_curves(passes: TaskScores) -> JSONObject:
    """`pass_at_k` (Chen et al. 2021) and `pass_hat_k` (Yao et al. 2024)."""
    tasks = [(n, round(n * rate)) for n, rate in zip(passes.counts, passes.means, strict=True)]

    def of(estimator: Callable[[int, int, int], float]) -> list[JSONObject]:
        return curve(tasks, lambda task: task[0], lambda task, k: estimator(*task, k), (0.0, 1.0), passes.repeats)

    return {"pass_at_k": of(pass_at_k), "pass_hat_k": of(pass_hat_k)}


def graded_curves(sheet: Sheet, rewards: TaskScores) -> JSONObject:
    """`best_of_k` and `worst_of_k` of the reward, best meaning lowest where lower is better."""
    tasks = [tuple(sorted(v)) for v in sheet.task_values(sheet.columns["reward"]) if v]
    best, worst = (best_of_k, worst_of_k) if sheet.higher_is_better else (worst_of_k, best_of_k)
    repeats = single(rewards)
    return {
        "best_of_k": curve(tasks, len, best, sheet.bounds, repeats),
        "worst_of_k": curve(tasks, len, worst, sheet.bounds, repeats),
    }


def votes(sheet: Sheet) -> list[Votes]:
    """The answers of each task that has a score."""
    n, rewards, found = sheet.repeats, sheet.columns["reward"], []
    for start in range(0, sheet.tasks * n, n):
        slots = [i for i in range(start, start + n) if sheet.state[i] == SCORED]
        if slots:
            answers = [sheet.answers[i] if sheet.answers[i] != NO_ANSWER else None for i in slots]
            found.append(Votes.of(answers, [rewards[i] for i in slots]))
    return found


def majority(sheet: Sheet, rewards: TaskScores) -> JSONObject | None:
    """Majority votes by answer; None when the rollouts hold no answers."""
    if not sheet.answer_sources.keys() - {"none"}:
        return None
    tasks = votes(sheet)
    entropies = [e for e in (v.entropy for v in tasks) if e is not None]

    def value(task: Votes, k: int) -> float:
        return majority_at_k(task, k, blank_score=sheet.worst)

    return {
        "at_k": curve(tasks, lambda task: task.n, value, sheet.bounds, single(rewards)),
        "answers": dict(sorted(sheet.answer_sources.items())),
        "blank": sum(v.blank for v in tasks),
        "tasks_without_answer": len(tasks) - len(entropies),
        "mean_entropy_bits": fsum(entropies) / len(entropies) if entropies else None,
        "exact": all(v.n <= EXACT for v in tasks),
    }


def by_repeat(sheet: Sheet, metric: str) -> JSONObject | None:
    """Mean over tasks of each repeat, were it the only one: what a single run of the benchmark could have shown.

    Over the tasks that have a score in every repeat, else None. Their spread is no standard error of the score:
    all repeats share the tasks.
    """
    if sheet.repeats < 2:
        return None
    column, n = sheet.field(metric), sheet.repeats
    full = [s for s in range(0, sheet.tasks * n, n) if not any(isnan(v) for v in column[s : s + n])]
    if not full:
        return None
    means = [fsum(column[s + r] for s in full) / len(full) for r in range(n)]
    return {"tasks": len(full), "means": means, "lowest": min(means), "highest": max(means)}
