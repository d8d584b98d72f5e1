"""`gym-mcp eval reverify`: scores a recorded run again, without a model."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gym_mcp.cli.common import emit_json, json_option
from gym_mcp.cli.summary import interval, percent

if TYPE_CHECKING:
    from gym_mcp.reverify.job import Job
    from gym_mcp.reverify.plan import Plan

_WORDS = {
    "up": "scored higher",
    "down": "scored lower",
    "components": "same score, other components",
    "newly_scored": "newly scored",
    "newly_failed": "no longer scored",
    "still_failed": "failed before and now",
    "same": "as before",
}


@click.command(
    "reverify",
    epilog="""\b
Examples:
  gym-mcp eval reverify runs/mcqa-openai-gpt-5-mini-3f9a1c --dry-run
  gym-mcp eval reverify runs/mcqa-openai-gpt-5-mini-3f9a1c --in-place
  gym-mcp eval reverify runs/mcqa-openai-gpt-5-mini-3f9a1c --verifier-from stricter.py --out runs/stricter

A rollout is verified again by replaying its ledger in a fresh episode of the same seed. If a result differs from
what was recorded, the rollout is not scored: it fails with the divergence as its message. Killed or interrupted,
the same command goes on where it stopped. --in-place keeps each earlier journal as
rollouts.before-reverify[.N].jsonl.""",
)
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path), help="The new run directory.  [default: beside RUN_DIR]")
@click.option("--in-place", is_flag=True, help="Change RUN_DIR itself; the journal as it was is kept.")
@click.option(
    "--verifier-from",
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH",
    help="Use the `verify` of another environment file, or another `verifiers` folder.",
)
@click.option("--judge", help="The judge's model; replay:FILE.jsonl for recorded replies.")
@click.option("--judge-base-url", metavar="URL", help="The judge's endpoint.")
@click.option("--no-judge-cache", "judge_cache", flag_value=False, default=True, help="Ask the judge every time.")
@click.option("--environment", "environment_url", metavar="URL", help="Where a served environment is served now.")
@click.option("--all", "everything", is_flag=True, help="Verify again what this verifier scored already, too.")
@click.option(
    "--despite-environment",
    is_flag=True,
    help="Although the environment's code, options or tasks changed: the replay shows whether it does the same.",
)
@click.option("--concurrency", type=click.IntRange(1), default=16, show_default=True, help="Rollouts at a time.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@json_option
@click.pass_context
def reverify_command(ctx: click.Context, /, run_dir: Path, dry_run: bool, as_json: bool, **wishes: Any) -> None:
    """Score RUN_DIR again under the verifier as it is now, without a model, and show what changed."""
    from gym_mcp.errors import UsageError
    from gym_mcp.reverify.job import Wish, prepared

    async def main() -> None:
        async with prepared(Wish(run_dir, **wishes)) as job:
            if dry_run and as_json:
                emit_json({"run": str(run_dir), "out": str(job.target), "plan": job.plan.as_json()})
            if not as_json:
                click.echo(_plan(job.plan, run_dir))
            if dry_run:
                return
            if job.decision.run_again:
                raise UsageError(
                    f"{run_dir}: {job.decision.run_again}: run it again, or verify what the replay confirms with "
                    "--despite-environment"
                )
            if not job.plan.total("re-verify"):
                if as_json:
                    emit_json({"run": str(run_dir), "out": str(run_dir), "plan": job.plan.as_json()})
                else:
                    click.echo("nothing to verify again (--all verifies anyway)")
                return
            report = await job.carry_out(_Progress(job))
            if as_json:
                emit_json(report)
            else:
                click.echo(_diff(report))

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        click.echo("gym-mcp: interrupted; the same command goes on", err=True)
        raise


class _Progress:
    """One line on a terminal's stderr."""

    def __init__(self, job: Job) -> None:
        self._total = job.plan.total("re-verify")
        self._done = 0
        self._terminal = sys.stderr.isatty()

    def __call__(self) -> None:
        self._done += 1
        if self._terminal and (self._done % 100 == 0 or self._done == self._total):
            end = "\n" if self._done == self._total else ""
            click.echo(f"\rverified again: {self._done:,} of {self._total:,}{end}", err=True, nl=False)


def _plan(plan: Plan, run_dir: Path) -> str:
    lines = [f"plan for {run_dir}:"]
    lines += [f"  {w['action']:<10}{w['rollouts']:>8,}  {w['why']}" for w in plan.as_json()["why"]]
    lines += [f"  changed: {change}" for change in plan.changed]
    if plan.total("re-run"):
        lines.append("  (re-run is for `gym-mcp eval resume`, with --retry-failed for what failed)")
    return "\n".join(lines)


def _diff(report: dict[str, Any]) -> str:
    counts, head = report["rollouts"], report["headline"]
    lines = ["", "rollouts: " + ", ".join(f"{counts[k]:,} {w}" for k, w in _WORDS.items() if counts.get(k))]
    rows = [
        ("pass@1", *map(percent, head["pass_at_1"]), *map(interval, head["ci95"])),
        ("mean reward", *map(_number, head["mean_reward"]), "", ""),
    ]
    rows += [
        (f"  {name}", _number(c["before"]), _number(c["after"]), f"{c['changed']:,} of {c['rollouts']:,}", "")
        for name, c in report["components"].items()
    ]
    width = max(len(row[0]) for row in rows)
    for name, old, new, *notes in rows:
        note = " -> ".join(n for n in notes if n)
        lines.append(f"{name.ljust(width)}  {old:>7} -> {new:>7}  {note}".rstrip())
    for when in ("before", "after"):
        only = report[f"components_only_{when}"]
        lines += [f"component {name}: only {when}, {count:,} rollouts" for name, count in only.items()]
    if report["tasks_changed"]:
        lines.append(f"tasks that changed: {report['tasks_changed']:,}; the most:")
        lines += [
            f"  {t['task_id']}  {t['before']:.3f} -> {t['after']:.3f}  ({t['changed']} of {t['rollouts']})"
            for t in report["tasks"]
        ]
    for kind, count in report["not_verified"].items():
        lines.append(f"not scored, {kind}: {count:,}; e.g. {report['not_verified_examples'][kind]}")
    lines.append(f"run directory: {report['out']}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
