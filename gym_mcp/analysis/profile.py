"""Everything about one run: `profile(run)` and the rows of its tasks. `docs/statistics.md` explains them."""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum, isnan
from pathlib import Path

from gym_mcp.analysis.curves import by_repeat, graded_curves, majority, pass_curves
from gym_mcp.analysis.estimates import estimate
from gym_mcp.analysis.fields import describe
from gym_mcp.analysis.groups import groups_by
from gym_mcp.analysis.read import Run, read_run
from gym_mcp.analysis.sheet import FAILED, MISSING, NO_ANSWER, SCORED, Sheet
from gym_mcp.metrics.estimators import pass_at_k, pass_hat_k
from gym_mcp.metrics.order import Votes, best_of_k, majority_at_k, worst_of_k
from gym_mcp.metrics.scores import TaskScores
from gym_mcp.types import JSONObject


def profile_of(path: Path, by: str | None = None) -> JSONObject:
    """`profile` of the run in a directory."""
    return profile(read_run(path), by)


def profile(run: Run, by: str | None = None) -> JSONObject:
    """The profile as JSON; its fields are described in `docs/statistics.md`. `by`: a field to group by."""
    sheet = run.sheet
    passes, rewards = sheet.scores("pass"), sheet.scores("reward")
    found: JSONObject = {
        "schema": 1,
        "kind": "profile",
        "run": run.about(),
        "counts": _counts(sheet, passes),
        "score": {
            "pass": {
                "failed_excluded": estimate(passes),
                "failed_as_worst": estimate(sheet.scores("pass", failed_as_worst=True)),
            },
            "reward": {
                "failed_excluded": estimate(rewards),
                "failed_as_worst": estimate(sheet.scores("reward", failed_as_worst=True)),
            },
        },
        **pass_curves(passes),
        **graded_curves(sheet, rewards),
        "majority": majority(sheet, rewards),
        "buckets": _buckets(sheet, passes),
        "by_repeat": {"pass": by_repeat(sheet, "pass"), "reward": by_repeat(sheet, "reward")},
        "fields": {name: describe(sheet, name) for name in sorted(sheet.columns)},
        "stops": dict(sorted(sheet.stops.items())),
        "groups": groups_by(run, by) if by else None,
        "environment_metrics": environment_metrics(run),
    }
    found["notes"] = _notes(found)
    return found


def _counts(sheet: Sheet, scores: TaskScores) -> JSONObject:
    counts = sorted(scores.counts)
    missing = sheet.state.count(MISSING)
    return {
        "expected": len(sheet.state),
        "scored": sheet.state.count(SCORED),
        "failed": dict(sorted(sheet.failed.items())),
        "failure_examples": dict(sorted(sheet.failure_examples.items())),
        "missing": missing,
        "complete": missing == 0,
        "tasks": sheet.tasks,
        "repeats": sheet.repeats,
        "tasks_scored": len(counts),
        "scored_per_task": _range(counts),
        "equal_repeats": bool(counts) and counts[0] == counts[-1] and len(counts) == sheet.tasks,
    }


def _range(counts: list[int]) -> JSONObject | None:
    return {"min": counts[0], "median": counts[len(counts) // 2], "max": counts[-1]} if counts else None


def _buckets(sheet: Sheet, passes: TaskScores) -> JSONObject:
    """Tasks by their scored rollouts: passed always, sometimes, never; and those without any score."""
    always = sum(1 for rate in passes.means if rate == 1.0)
    never = sum(1 for rate in passes.means if rate == 0.0)
    return {
        "always": always,
        "sometimes": len(passes) - always - never,
        "never": never,
        "missing": sheet.tasks - len(passes),
    }


def environment_metrics(run: Run) -> JSONObject | None:
    """Numbers that the environment itself defines over a corpus; None when it defines none or is not here."""
    from gym_mcp.coordinator.journal import read_rows
    from gym_mcp.errors import GymError
    from gym_mcp.hub import load_environment

    try:
        cls = load_environment(run.manifest["config"]["environment"], run.manifest["config"]["env"])
    except (GymError, OSError, ImportError, KeyError):
        return None
    if not cls.has("metrics"):
        return None
    try:
        rows = (row for row in read_rows(run.directory.rollouts_path) if row["outcome"] == "scored")
        return {str(k): float(v) for k, v in cls.metrics(rows).items()}
    except Exception as e:  # an author's code; the profile stands without it
        return {"error": f"{cls.name}.metrics raised {type(e).__name__}: {e}"}


def task_rows(run: Run) -> Iterator[JSONObject]:
    """What became of each task, also of those without a score: the first fields of `per_task`."""
    sheet, n = run.sheet, run.sheet.repeats
    for index, task in enumerate(run.task_rows()):
        slots = range(index * n, (index + 1) * n)
        states = [sheet.state[i] for i in slots]
        rewards = [sheet.columns["reward"][i] if sheet.state[i] == SCORED else None for i in slots]
        scored = [r for r in rewards if r is not None]
        passed = sum(1 for i in slots if sheet.passes[i] == 1.0)
        yield {
            "task_id": task["id"],
            "task_index": index,
            "n": len(scored),
            "c": passed,
            "failed": states.count(FAILED),
            "missing": states.count(MISSING),
            "bucket": _bucket(len(scored), passed),
            "rewards": rewards,
            "pass_rate": passed / len(scored) if scored else None,
            "mean": fsum(scored) / len(scored) if scored else None,
        }


def per_task(run: Run) -> Iterator[JSONObject]:
    """One row a task, also for those without a score: `docs/statistics.md` has the fields."""
    sheet, n = run.sheet, run.sheet.repeats
    names = [c for c in sheet.columns if c != "reward"]
    answered = bool(sheet.answer_sources.keys() - {"none"})
    for row in task_rows(run):
        slots = range(row["task_index"] * n, (row["task_index"] + 1) * n)
        scored = [i for i in slots if sheet.state[i] == SCORED]
        rewards = [r for r in row["rewards"] if r is not None]
        yield {
            **row,
            "variance": TaskScores.of([rewards]).variances[0] if len(scored) > 1 else None,
            **_task_curves(sheet, rewards, row["c"]),
            "majority": _task_votes(sheet, scored, rewards) if answered and scored else None,
            "fields": {name: mean for name in names if (mean := _mean_of(sheet, name, slots)) is not None},
        }


def _bucket(n: int, c: int) -> str:
    if not n:
        return "missing"
    return "always" if c == n else "sometimes" if c else "never"


def _task_curves(sheet: Sheet, rewards: list[float], c: int) -> JSONObject:
    n = len(rewards)
    best, worst = (best_of_k, worst_of_k) if sheet.higher_is_better else (worst_of_k, best_of_k)
    ks = range(1, n + 1)
    return {
        "pass_at_k": [pass_at_k(n, c, k) for k in ks],
        "pass_hat_k": [pass_hat_k(n, c, k) for k in ks],
        "best_of_k": [best(rewards, k) for k in ks],
        "worst_of_k": [worst(rewards, k) for k in ks],
    }


def _task_votes(sheet: Sheet, slots: list[int], rewards: list[float]) -> JSONObject:
    answers = [None if sheet.answers[i] == NO_ANSWER else sheet.answers[i] for i in slots]
    votes = Votes.of(answers, rewards)
    ks = range(1, votes.n + 1) if votes.n <= 128 else [votes.n]
    return {
        "at_k": {str(k): majority_at_k(votes, k, blank_score=sheet.worst) for k in ks},
        "answers": len(votes.counts),
        "blank": votes.blank,
        "modal_votes": votes.counts[0] if votes.counts else 0,
        "modal_score": votes.modal_score,
        "entropy_bits": votes.entropy,
    }


def _mean_of(sheet: Sheet, name: str, slots: range) -> float | None:
    values = [v for i in slots if not isnan(v := sheet.columns[name][i])]
    return fsum(values) / len(values) if values else None


def _notes(found: JSONObject) -> list[str]:
    """What a reader must know before quoting a number, in plain words."""
    counts, notes = found["counts"], []
    missing, expected, failed = counts["missing"], counts["expected"], sum(counts["failed"].values())
    if missing:
        notes.append(f"{missing} of {expected} rollouts are missing: the numbers may still move.")
    if failed:
        notes.append(
            f"{failed} of {expected} rollouts failed: the score leaves them out; `failed as worst` counts them as "
            "the worst score."
        )
    if counts["scored"] and not counts["equal_repeats"]:
        span = counts["scored_per_task"]
        notes.append(
            f"Tasks have {span['min']} to {span['max']} scored rollouts, {counts['tasks_scored']} of "
            f"{counts['tasks']} have any: each task counts the same; numbers by k are over fewer where it says so."
        )
    if counts["scored"] and counts["scored_per_task"]["max"] == 1:
        notes.append("One rollout a task cannot tell luck from difficulty: there is no interval for these tasks.")
    if found["run"]["tasks"] < 20:
        notes.append(f"Only {found['run']['tasks']} tasks: intervals are rough below 20.")
    return notes
