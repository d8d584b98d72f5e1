"""Simulated coverage of every interval, and size and power of the paired test: `python perf/coverage.py`.

Difficulties are drawn from beta distributions, rollouts from the difficulties; each run is new. A cell is the
share of runs, in percent, whose 95 % interval holds the truth: the mean over all tasks that could be drawn (`new
tasks`), or over the drawn ones (`these tasks`). Where all tasks scored alike, `bootstrap` is the interval of `new
tasks`. `t` is the plain clustered t interval, for comparison. Needs numpy.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from typing import Any, Final

import numpy as np

from gym_mcp.analysis.estimates import new_tasks
from gym_mcp.metrics.bootstrap import bootstrap_interval
from gym_mcp.metrics.intervals import mean_interval, these_tasks_interval
from gym_mcp.metrics.paired import paired_interval, paired_p, power_of, these_tasks_difference
from gym_mcp.metrics.scores import Interval, TaskScores
from gym_mcp.metrics.signflip import sign_flip

SHAPES: Final = {
    "U-shaped": (0.5, 0.5),
    "uniform": (1.0, 1.0),
    "middling": (5.0, 5.0),
    "all alike .8": (8_000.0, 2_000.0),
    "easy .9": (4.5, 0.5),
    "hard .05": (0.5, 9.5),
    "very easy .97": (29.1, 0.9),
    "hard, U .1": (0.1, 0.9),
    "easy, few at 0": (1.94, 0.06),
}
"""Parameters of beta distributions. In the last two a few tasks decide the mean: many samples hold few of them."""
TASKS: Final = (20, 50, 100, 300)
REPEATS: Final = (1, 2, 4, 16)
Pair = tuple[float, float] | None
Cell = tuple[str, int, int, int, int]


def scores_of(passed: Any, repeats: int) -> TaskScores:
    found = TaskScores()
    for c in passed.tolist():
        found.add_passes(repeats, c)
    return found


def holds(interval: Interval | Pair, truth: float) -> float:
    if interval is None:
        return float("nan")
    low, high = (interval.low, interval.high) if isinstance(interval, Interval) else interval
    return float(low - 1e-12 <= truth <= high + 1e-12)


def one_run(rng: np.random.Generator, shape: str, tasks: int, repeats: int, resamples: int) -> list[float]:
    """Which intervals of one simulated run, and of its comparison with a second model, hold the truth."""
    a, b = SHAPES[shape]
    p = rng.beta(a, b, tasks)
    q = p * 0.9 if a > b else p + 0.1 * (1 - p)
    mean = a / (a + b)
    effect = -0.1 * mean if a > b else 0.1 * (1 - mean)
    one, other = (scores_of(rng.binomial(repeats, x), repeats) for x in (p, q))
    gaps = [y - x for x, y in zip(one.means, other.means, strict=True)]
    boot = None
    if resamples:  # without any spread there is nothing to resample
        boot = bootstrap_interval(one.means, resamples=resamples) or new_tasks(one)
    return [
        holds(new_tasks(one), mean),
        holds(mean_interval(one.means, bounds=(0.0, 1.0)), mean),
        holds(boot, mean),
        holds(these_tasks_interval(one), float(p.mean())),
        holds(paired_interval(gaps, 1.0), effect),
        holds(these_tasks_difference(one, other), float(q.mean() - p.mean())),
    ]


def one_test(rng: np.random.Generator, shape: str, tasks: int, repeats: int, effect: float) -> list[float]:
    """Whether the tests reject: two arms that are alike, and two that differ by `effect` on average."""
    a, b = SHAPES[shape]
    p = rng.beta(a, b, tasks)
    found = []
    for q in (p, shifted(p, effect)):
        x, y = (rng.binomial(repeats, rate) for rate in (p, q))
        gaps = ((y - x) / repeats).tolist()
        interval = paired_interval(gaps, 1.0)
        flip = sign_flip(gaps, steps=repeats)
        p_value = paired_p(gaps, flip)
        clear = interval is not None and (interval.low > 0 or interval.high < 0)
        found += [float(p_value < 0.05 and clear), float(flip.p < 0.05), float(flip.p_mid < 0.05)]
    return found


def shifted(p: Any, effect: float) -> Any:
    """Difficulties whose mean over all tasks is higher (lower) by `effect`: each moves by a share of its room."""
    return p + effect * (1 - p) if effect > 0 else p + effect * p


def predicted(shape: str, tasks: int, repeats: int, effect: float) -> float:
    """What `power_of` says, from the true variance of a task's difference."""
    a, b = SHAPES[shape]
    p = np.random.default_rng(0).beta(a, b, 200_000)
    q = shifted(p, effect)
    luck = (p * (1 - p) + q * (1 - q)).mean() / repeats
    return power_of(float((q - p).mean()), float((q - p).var() + luck), tasks)


def simulate(cell: Cell) -> tuple[Cell, list[float]]:
    shape, tasks, repeats, runs, resamples = cell
    rng = np.random.default_rng([tasks, repeats, *shape.encode()])
    hits = np.array([one_run(rng, shape, tasks, repeats, resamples) for _ in range(runs)])
    return cell, (100 * hits.mean(axis=0)).tolist()


def test(cell: Cell) -> tuple[Cell, list[float]]:
    shape, tasks, repeats, runs, _ = cell
    a, b = SHAPES[shape]
    effect = 3.0 / tasks**0.5 * 0.15 * (-1 if a > b else 1)
    rng = np.random.default_rng([1, tasks, repeats, *shape.encode()])
    hits = np.array([one_test(rng, shape, tasks, repeats, effect) for _ in range(runs)])
    return cell, [*(100 * hits.mean(axis=0)).tolist(), 100 * predicted(shape, tasks, repeats, effect)]


def table(
    work: Callable[[Cell], tuple[Cell, list[float]]], cells: Sequence[Cell], headers: Sequence[str], workers: int
) -> dict[Cell, list[float]]:
    """Run the cells and print a Markdown table of them."""
    print("| difficulty | tasks | repeats | " + " | ".join(headers) + " |")
    print("|---|" + "---:|" * (len(headers) + 2))
    found = {}
    with ProcessPoolExecutor(workers) as pool:
        for cell, values in pool.map(work, cells):
            found[cell] = values
            shown = " | ".join("-" if v != v else f"{v:.1f}" for v in values)
            print(f"| {cell[0]} | {cell[1]} | {cell[2]} | {shown} |", flush=True)
    return found


def within(found: dict[Cell, list[float]], headers: Sequence[str], low: float, high: float) -> Iterator[str]:
    for i, header in enumerate(headers):
        values = [v[i] for v in found.values() if v[i] == v[i]]
        if not values:
            continue
        inside = sum(low <= v <= high for v in values)
        yield (
            f"{header}: {inside} of {len(values)} within {low:g}-{high:g} %, "
            f"lowest {min(values):.1f}, highest {max(values):.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000, help="simulated runs a cell")
    parser.add_argument("--tasks", type=int, nargs="+", default=TASKS)
    parser.add_argument("--repeats", type=int, nargs="+", default=REPEATS)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--resamples", type=int, default=400, help="of the bootstrap; 0 leaves it out")
    parser.add_argument("--only", choices=("coverage", "tests"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    cells = [
        (shape, tasks, repeats, args.runs, args.resamples)
        for shape, tasks, repeats in product(args.shapes, args.tasks, args.repeats)
    ]
    if args.only != "tests":
        report_coverage(cells, args.workers)
    if args.only != "coverage":
        report_tests(cells, args.workers)


def report_coverage(cells: Sequence[Cell], workers: int) -> None:
    intervals = ("new tasks", "t", "bootstrap", "these tasks", "paired, new", "paired, these")
    print("Coverage, percent\n")
    covered = table(simulate, cells, intervals, workers)
    print()
    print("\n".join(within(covered, intervals, 93, 97)))


def report_tests(cells: Sequence[Cell], workers: int) -> None:
    tests = (
        *("size", "size, permutation", "size, mid-p"),
        *("power", "power, permutation", "power, mid-p", "predicted"),
    )
    print("\nPaired test at 5 %, percent of runs that reject\n")
    rejected = table(test, cells, tests, workers)
    print()
    print("\n".join(within({c: v[:3] for c, v in rejected.items()}, tests[:3], 4, 6)))
    gaps = [abs(v[3] - v[6]) for v in rejected.values()]
    print(f"power less predicted: at most {max(gaps):.1f} points, on average {sum(gaps) / len(gaps):.1f}")


if __name__ == "__main__":
    main()
