"""`gym-mcp eval compare`: two runs or more of the same tasks, and whether they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gym_mcp.cli.common import emit_json, json_option, table, width

_FLIPS = 10


@click.command(
    "compare",
    epilog="""\b
Examples:
  gym-mcp eval compare runs/mcqa-a runs/mcqa-b
  gym-mcp eval compare runs/base runs/new-prompt --across-prompts
  gym-mcp eval compare runs/a runs/b runs/c --all-pairs --metric reward --json

Each run is compared with the first, task by task. Differences are the later run less the earlier one.
docs/statistics.md names the source of every number.""",
)
@click.argument("run_dirs", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--metric", default="pass", show_default=True, help="pass, reward, components.x, usage.output_tokens, ..."
)
@click.option("--intersect", is_flag=True, help="Compare the tasks that are the same where the sets differ.")
@click.option("--across-prompts", is_flag=True, help="Tasks whose prompts differ, and nothing else, are the same.")
@click.option(
    "--margin",
    type=click.FloatRange(0, min_open=True),
    help="What is no difference, in the metric's unit: of pass 0.02 are 2 points.  [default: 2% of the range]",
)
@click.option("--all-pairs", is_flag=True, help="Every run with every other, instead of with the first.")
@click.option(
    "--flips", type=click.IntRange(0), default=_FLIPS, show_default=True, help="Tasks to list that turned."
)
@json_option
def compare_command(
    run_dirs: tuple[Path, ...],
    metric: str,
    intersect: bool,
    across_prompts: bool,
    margin: float | None,
    all_pairs: bool,
    flips: int,
    as_json: bool,
) -> None:
    """Compare RUN_DIRS on the tasks that they share, and say what can be said."""
    from gym_mcp.analysis.compare import compare
    from gym_mcp.analysis.read import read_run

    found = compare(
        [read_run(path) for path in run_dirs],
        metric=metric,
        intersect=intersect,
        across_prompts=across_prompts,
        margin=margin,
        all_pairs=all_pairs,
    )
    if as_json:
        emit_json(found)
    else:
        click.echo(text(found, flips))


def text(found: dict[str, Any], flips: int = _FLIPS) -> str:
    """The comparison as a page."""
    percent = found["metric"] == "pass"
    parts = [_arms(found, percent)]
    for contrast in found["contrasts"]:
        parts += ["", *contrast_lines(contrast, percent, len(found["contrasts"]), flips)]
    return "\n".join(parts)


def _arms(found: dict[str, Any], percent: bool) -> str:
    headers = ("run", "scored", "failed", found["metric"], "95% CI new tasks", "failed as worst", "left out")
    rows = []
    for arm in found["arms"]:
        score, worst = arm["failed_excluded"], arm["failed_as_worst"]
        rows.append(
            (
                arm["name"],
                str(arm["scored"]),
                str(sum(arm["failed"].values())),
                value_text(score["value"], percent),
                range_text(score["new_tasks"], percent),
                value_text(worst["value"], percent),
                f"{found['left_out'][arm['name']]} tasks",
            )
        )
    return table(headers, rows, limit=width())


def contrast_lines(c: dict[str, Any], percent: bool, contrasts: int, flips: int) -> list[str]:
    """One comparison: the verdict, what must be known before it is quoted, and the numbers."""
    title = f"{c['b']} less {c['a']}"
    lines = [title, "-" * len(title), c["verdict"]["text"], *(f"- {note}" for note in c["notes"])]
    lines.append(f"  changed           {', '.join(c['causes']) or 'nothing that decides results'}")
    if c["difference"] is None:
        return lines
    lines += [
        f"  difference        {signed_text(c['difference'], percent)} over {tasks_text(c['tasks'])}",
        f"  new tasks         {range_text(c['new_tasks'], percent, '95% CI ')}  paired by task",
    ]
    if c["these_tasks"]:
        lines.append(
            f"  these tasks       {range_text(c['these_tasks'], percent, '95% CI ')}  luck within tasks only"
        )
    lines.append(f"  bootstrap         {range_text(c['bootstrap'], percent, '95% CI ')}")
    lines += _tests(c)
    if contrasts > 1:
        lines.append(
            f"  adjusted p        {c['p_holm']:.4f} Holm, {c['p_bh']:.4f} BH, over {contrasts} comparisons"
        )
    if any(c["missingness"]["failed"]):
        zero = c["failed_as_worst"]
        shown = f"{signed_text(zero['difference'], percent)}  {range_text(zero['new_tasks'], percent, '95% CI ')}"
        lines.append(f"  failed as worst   {shown}  p {zero['p']:.4f}")
    return lines + _turned(c, percent, flips)


def _tests(c: dict[str, Any]) -> list[str]:
    """The p that the verdict rests on, and what the other tests say."""
    flips, m = c["tests"]["permutation"], c["tests"]["mcnemar"]
    name = "paired t" if c["p"] == c["tests"]["paired_t"] else "permutation"
    lines = [
        f"  p                 {c['p']:.4f}  {name}",
        f"  permutation       {flips['p']:.4f}  {flips['method']}, mid-p {flips['p_mid']:.4f}",
    ]
    if m is not None:
        lines.append(f"  McNemar           {m['p_exact']:.4f}  {m['only_b']} won, {m['only_a']} lost")
    return lines


def _turned(c: dict[str, Any], percent: bool, flips: int) -> list[str]:
    rows = c["flips"]
    if not rows or not flips:
        return []
    up = sum(1 for r in rows if r["delta"] > 0)
    lines = [f"  {tasks_text(len(rows))} turned: {up} up, {len(rows) - up} down"]
    lines += [
        f"    {signed_text(r['delta'], percent):>12}  {r['task_id']}  "
        f"{value_text(r['a'], percent)} -> {value_text(r['b'], percent)}"
        for r in rows[:flips]
    ]
    if len(rows) > flips:
        lines.append(f"    ... and {len(rows) - flips} more (--flips, --json)")
    return lines


def tasks_text(count: int) -> str:
    return "1 task" if count == 1 else f"{count:,} tasks"


def value_text(value: float | None, percent: bool) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}%" if percent else f"{value:.4g}"


def signed_text(value: float | None, percent: bool) -> str:
    if value is None:
        return "-"
    return f"{100 * value:+.1f} points" if percent else f"{value:+.4g}"


def range_text(interval: dict[str, Any] | None, percent: bool, lead: str = "") -> str:
    if interval is None:
        return "-"
    scale = 100 if percent else 1
    return f"{lead}[{scale * interval['low']:.4g}, {scale * interval['high']:.4g}]"
