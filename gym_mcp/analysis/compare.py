"""Several runs of the same tasks, compared task by task. `docs/statistics.md` has the formulas."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import inf, isfinite, isinf

from gym_mcp.analysis.changes import causes, changes
from gym_mcp.analysis.estimates import as_json, estimate
from gym_mcp.analysis.missingness import missingness
from gym_mcp.analysis.pairing import Shared, paired_scores, shared_tasks
from gym_mcp.analysis.read import Run
from gym_mcp.analysis.sheet import Sheet
from gym_mcp.analysis.verdict import LEVEL, Evidence, verdict
from gym_mcp.errors import UsageError
from gym_mcp.metrics.bootstrap import bootstrap_interval
from gym_mcp.metrics.multiplicity import benjamini_hochberg, holm
from gym_mcp.metrics.paired import (
    Spread,
    detectable,
    paired_interval,
    paired_p,
    paired_t,
    repeats_needed,
    tasks_needed,
    these_tasks_difference,
)
from gym_mcp.metrics.scores import TaskScores
from gym_mcp.metrics.signflip import mcnemar, sign_flip
from gym_mcp.suggest import did_you_mean
from gym_mcp.types import JSONObject

MARGIN = 0.02
"""Share of the range of scores that counts as no difference, unless said otherwise."""


def compare(
    runs: Sequence[Run],
    *,
    metric: str = "pass",
    intersect: bool = False,
    across_prompts: bool = False,
    margin: float | None = None,
    all_pairs: bool = False,
    names: Sequence[str] | None = None,
) -> JSONObject:
    """The comparison as JSON: each run with the first, or all pairs. A difference is `b` less `a`.

    `metric`: `pass`, `reward`, or a column of the rows (`components.x`, `usage.output_tokens`). `margin`: in its
    units, what counts as no difference. `UsageError` when the runs are not of the same tasks.
    """
    if len(runs) < 2:
        raise UsageError("eval compare: give two run directories or more")
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise UsageError("a run directory is named twice: a run is compared with another one")
    for run in runs:
        _check_metric(run, metric)
    _check_margin(margin, runs[0], metric)
    shared = shared_tasks(runs, intersect=intersect, across_prompts=across_prompts)
    pairs = list(combinations(range(len(runs)), 2)) if all_pairs else [(0, i) for i in range(1, len(runs))]
    names = names or arm_names(runs)
    contrasts = [_contrast(runs, shared, metric, pair) for pair in pairs]
    _adjust(contrasts)
    for (i, j), contrast in zip(pairs, contrasts, strict=True):
        contrast.update(a=names[i], b=names[j])
        contrast["verdict"] = _verdict(contrast, runs[i], metric, margin, len(contrasts))
        contrast["notes"] = _notes(contrast)
    return {
        "schema": 1,
        "kind": "compare",
        "metric": metric,
        "tasks": len(shared.ids),
        "left_out": dict(zip(names, shared.left_out, strict=True)),
        "arms": [_arm(run, shared, at, names[at], metric) for at, run in enumerate(runs)],
        "contrasts": contrasts,
    }


def _check_metric(run: Run, metric: str) -> None:
    if metric != "pass" and metric not in run.sheet.columns:
        known = ["pass", *run.sheet.columns]
        raise UsageError(f"--metric {metric}: {run.path} has no such number{did_you_mean(metric, known)}")


def _check_margin(margin: float | None, run: Run, metric: str) -> None:
    low, high = run.sheet.field_bounds(metric)
    if margin is not None and margin >= high - low:
        points = " (0.02 are 2 points)" if metric == "pass" else ""
        raise UsageError(
            f"--margin {margin:g}: as large as the range of `{metric}`, {low:g} to {high:g}: "
            f"every run would be no different; give a part of it{points}"
        )


def arm_names(runs: Sequence[Run]) -> list[str]:
    """What tells the runs apart: model, else model and harness, else the directory."""
    by_model = [str(run.manifest["model"]["spec"]) for run in runs]
    by_both = [f"{model} · {run.manifest['harness']}" for model, run in zip(by_model, runs, strict=True)]
    by_path = [str(run.path) for run in runs]
    return next((n for n in (by_model, by_both) if len(set(n)) == len(n)), by_path)


def _arm(run: Run, shared: Shared, at: int, name: str, metric: str) -> JSONObject:
    values = list(run.sheet.metric_values(metric))
    scores = TaskScores.of((values[i] for i in shared.indexes[at]), run.sheet.field_bounds(metric))
    zero = list(run.sheet.metric_values(metric, failed_as_worst=True))
    worst = TaskScores.of((zero[i] for i in shared.indexes[at]), run.sheet.field_bounds(metric))
    return {
        "name": name,
        **run.about(),
        "expected": len(run.sheet.state),
        "scored": run.sheet.scored,
        "failed": dict(sorted(run.sheet.failed.items())),
        "failed_excluded": estimate(scores, full=False),
        "failed_as_worst": estimate(worst, full=False),
    }


def _contrast(runs: Sequence[Run], shared: Shared, metric: str, pair: tuple[int, int]) -> JSONObject:
    a, b = (runs[i] for i in pair)
    both = Shared(shared.ids, [shared.indexes[i] for i in pair], [0, 0], shared.prompts_differ)
    found = changes(a.manifest["identity"], b.manifest["identity"])
    why = causes(found) + (["prompt"] if shared.prompts_differ else [])
    contrast: JSONObject = {
        "changed": found,
        "causes": why,
        "cause": why[0] if len(why) == 1 else None,
    }
    ids, (one, other) = paired_scores((a, b), both, metric)
    contrast.update(difference(one, other), flips=_flips(ids, one, other))
    contrast["tasks_without_pair"] = len(shared.ids) - len(ids)
    _, (one, other) = paired_scores((a, b), both, metric, failed_as_worst=True)
    contrast["failed_as_worst"] = difference(one, other)
    contrast["missingness"] = missingness(a, b, both)
    return contrast


def difference(a: TaskScores, b: TaskScores) -> JSONObject:
    """The difference b - a over paired tasks with intervals and tests; nulls without a pair."""
    gaps = [y - x for x, y in zip(a.means, b.means, strict=True)]
    if not gaps:
        return {"tasks": 0, "difference": None, "p": 1.0}
    spread = Spread.of(gaps)
    flip = sign_flip(gaps, steps=_steps(a, b))
    return {
        "tasks": len(gaps),
        "rollouts": [sum(a.counts), sum(b.counts)],
        "difference": spread.mean,
        "sd": spread.variance**0.5,
        "new_tasks": as_json(paired_interval(gaps, a.width)),
        "these_tasks": as_json(these_tasks_difference(a, b)),
        "bootstrap": as_json(bootstrap_interval(gaps)),
        "equivalence": as_json(paired_interval(gaps, a.width, level=0.9)),
        "p": paired_p(gaps, flip),
        "tests": {"permutation": flip.as_json(), "paired_t": paired_t(gaps), "mcnemar": _mcnemar(a, b)},
        "detectable": detectable(spread),
        "tasks_needed": tasks_needed(spread.mean, spread.variance) if spread.variance > 0.0 else None,
        "repeats_needed": _finite(repeats_needed(spread.mean, spread, a, b)),
    }


def _finite(repeats: float | None) -> float | str | None:
    """JSON has no infinity."""
    return "never" if repeats is not None and isinf(repeats) else repeats


def _steps(a: TaskScores, b: TaskScores) -> int | None:
    """The number that makes each difference of pass rates whole, when all tasks were tried equally often."""
    counts = {*a.counts, *b.counts}
    return counts.pop() if len(counts) == 1 and a.two_valued and b.two_valued else None


def _mcnemar(a: TaskScores, b: TaskScores) -> JSONObject | None:
    """Where each task has one binary rollout in each arm; None elsewhere."""
    if max(a.counts) > 1 or max(b.counts) > 1 or not (a.two_valued and b.two_valued):
        return None
    gained = sum(1 for x, y in zip(a.means, b.means, strict=True) if y > x)
    lost = sum(1 for x, y in zip(a.means, b.means, strict=True) if y < x)
    exact, mid = mcnemar(gained, lost)
    return {"only_b": gained, "only_a": lost, "p_exact": exact, "p_mid": mid}


def _flips(ids: Sequence[str], a: TaskScores, b: TaskScores) -> list[JSONObject]:
    """The tasks that turned, the largest change first, then by id."""
    rows = zip(ids, a.means, b.means, a.counts, b.counts, strict=True)
    turned = [
        {"task_id": i, "a": x, "b": y, "delta": y - x, "n_a": n, "n_b": m} for i, x, y, n, m in rows if x != y
    ]
    return sorted(turned, key=lambda t: (-abs(t["delta"]), t["task_id"]))


def _adjust(contrasts: list[JSONObject]) -> None:
    ps = [c["p"] for c in contrasts]
    for contrast, h, bh in zip(contrasts, holm(ps), benjamini_hochberg(ps), strict=True):
        contrast.update(p_holm=h, p_bh=bh)


def _verdict(contrast: JSONObject, a: Run, metric: str, margin: float | None, contrasts: int) -> JSONObject:
    if contrast["difference"] is None:
        return {"code": "cannot_tell", "text": "Cannot tell: no task has a score in both runs."}
    low, high = a.sheet.field_bounds(metric)
    width = high - low
    interval, equal, never = contrast["new_tasks"], contrast["equivalence"], contrast["repeats_needed"]
    return verdict(
        Evidence(
            a=contrast["a"],
            b=contrast["b"],
            difference=contrast["difference"],
            low=interval["low"] if interval else None,
            high=interval["high"] if interval else None,
            equivalence=(equal["low"], equal["high"]) if equal else None,
            p=contrast["p_holm"],
            contrasts=contrasts,
            margin=margin if margin is not None else MARGIN * width if isfinite(width) else 0.0,
            percent=metric == "pass",
            higher_is_better=_higher(a.sheet, metric),
            detectable=contrast["detectable"],
            tasks_needed=contrast["tasks_needed"],
            repeats_needed=inf if never == "never" else never,
            tasks=contrast["tasks"],
            alike=not contrast["flips"],
        )
    )


def _higher(sheet: Sheet, metric: str) -> bool:
    """Whether more is better: as declared for the reward; less of what is spent."""
    if metric == "reward":
        return sheet.higher_is_better
    return metric == "pass" or metric.startswith("components.")


def _notes(contrast: JSONObject) -> list[str]:
    """What a reader must know before quoting the verdict."""
    notes, why = [], contrast["causes"]
    if len(why) > 1:
        notes.append(f"The cause is not identified: {', '.join(why)} changed together.")
    if not why:
        notes.append("Nothing that decides results differs between the runs: a difference here is luck.")
    permutation = contrast["tests"]["permutation"]["p"] if contrast["difference"] is not None else contrast["p"]
    if (permutation < LEVEL) != (contrast["p"] < LEVEL):
        notes.append(f"Close to the line: the permutation test says p {permutation:.3f}.")
    missing = contrast["missingness"]
    if missing["informative"]:
        a, b = missing["failure_rate"]
        notes.append(
            f"Failures differ between the runs ({100 * a:.1f}% and {100 * b:.1f}%): leaving them out may tilt the "
            "comparison; see the difference with failures as the worst score."
        )
    zero = contrast["failed_as_worst"]
    if contrast["difference"] is not None and zero["difference"] is not None:
        if (contrast["p"] < LEVEL) != (zero["p"] < LEVEL) or contrast["difference"] * zero["difference"] < 0:
            notes.append("Counting failures as the worst score changes the picture: quote both.")
    if contrast["tasks_without_pair"]:
        notes.append(f"{contrast['tasks_without_pair']} tasks have no score in one of the runs and are left out.")
    return notes
