"""`gym-mcp analyze`: what went wrong in a run; `analyze check`: whether a report about it is true."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gym_mcp.cli.common import emit_json, json_option
from gym_mcp.suggest import did_you_mean

if TYPE_CHECKING:
    from gym_mcp.claims.check import Verdict

_RUN = click.Path(path_type=Path, file_okay=False)


class _Verbs(click.Group):
    """`analyze RUN` is `analyze run RUN`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            if not args[0].startswith("-") and not Path(args[0]).exists():
                hint = did_you_mean(args[0], self.commands)
                raise click.UsageError(f"{args[0]}: no run there, and no command of that name{hint}", ctx)
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=_Verbs,
    epilog="""\b
Examples:
  gym-mcp analyze runs/mcqa-3f9a1c
  gym-mcp analyze runs/new --against runs/old -o analysis
  gym-mcp analyze check report.md --run runs/mcqa-3f9a1c

docs/analysis.md explains the findings and the claims.""",
)
def analyze() -> None:
    """Find out what went wrong in a run, and check reports about it.

    `gym-mcp analyze RUN` is short for `gym-mcp analyze run RUN`.
    """


@analyze.command("run")
@click.argument("run_dir", type=_RUN)
@click.option("--against", type=_RUN, help="An earlier run of the same tasks: what changed, and where.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write findings.json and analysis.md here.",
)
@json_option
def run_command(run_dir: Path, against: Path | None, out: Path | None, as_json: bool) -> None:
    """Analyse RUN_DIR: counts, funnel, findings with the rollouts that show them."""
    from gym_mcp.coordinator.journal import replace_file
    from gym_mcp.diagnosis.analyze import analyze as analyse
    from gym_mcp.diagnosis.analyze import dump
    from gym_mcp.diagnosis.page import page

    found = analyse(run_dir, against)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        replace_file(out / "findings.json", [dump(found)])
        replace_file(out / "analysis.md", [page(found).encode()])
    if as_json:
        emit_json(found)
    elif out is not None:
        suspects = sum(1 for f in found["findings"] if f["suspect"])
        click.echo(f"{len(found['findings'])} findings, {suspects} of them suspects: {out / 'analysis.md'}")
    else:
        click.echo(page(found), nl=False)


@analyze.command("check")
@click.argument("report", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--run", "run_dir", type=_RUN, required=True, help="The run that the report is about.")
@click.option("--run2", type=_RUN, help="The earlier run, for `before(...)`.")
@click.option("--least", type=click.FloatRange(0, 1), default=0.85, show_default=True, help="The grade to reach.")
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    help="CPU time that the check may take.",
)
@json_option
@click.pass_context
def check_command(
    ctx: click.Context,
    report: Path,
    run_dir: Path,
    run2: Path | None,
    least: float,
    max_seconds: float,
    as_json: bool,
) -> None:
    """Check REPORT: run its queries again, look up its quotations. Exit code 1: a problem, or below `--least`."""
    from gym_mcp.claims.check import check_paths

    verdict = check_paths(report, run_dir, run2, max_seconds)
    if as_json:
        emit_json(verdict.as_json())
    else:
        show_problems(report, verdict)
        click.echo(
            f"grade {verdict.grade:.3f}: {verdict.supported} of {verdict.weighty} sentences that need evidence "
            f"have it; {verdict.claims_true} of {verdict.claims} claims and {verdict.citations_true} of "
            f"{verdict.citations} quotations are true"
        )
    if verdict.problems or verdict.grade < least:
        ctx.exit(1)


def show_problems(report: Path, verdict: Verdict) -> None:
    """Each problem with its line, as compilers name them."""
    for p in verdict.problems:
        click.echo(f"{report}:{p.line}: {p.kind}: {p.detail}\n    {p.text}")


@analyze.command("show")
@click.argument("run_dir", type=_RUN)
@click.argument("rollout")
@click.option("--whole", is_flag=True, help="Do not cut long texts.")
def show_command(run_dir: Path, rollout: str, whole: bool) -> None:
    """Show ROLLOUT (RUN_ID/TASK_ID/REPEAT) of RUN_DIR, its parts numbered as quotations name them."""
    from gym_mcp.claims.show import CUT, find_rollout, show

    click.echo(show(*find_rollout(run_dir, rollout), cut=sys.maxsize if whole else CUT))
