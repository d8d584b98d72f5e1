"""`gym-mcp eval aggregate`: shards and machines merged into one run directory."""

from __future__ import annotations

from pathlib import Path

import click

from gym_mcp.cli.common import emit_json, json_option


@click.command(
    "aggregate",
    epilog="""\b
Examples:
  gym-mcp eval aggregate runs/shard-1 runs/shard-2 --out runs/all
  gym-mcp eval aggregate runs/seed-0 runs/seed-1 --stack --out runs/both

A rollout that several runs hold in the same form counts once; different rollouts of the same task and repeat are
refused, and so are runs that differ in anything but tasks and repeats.""",
)
@click.argument("run_dirs", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The merged run.")
@click.option("--stack", is_flag=True, help="Runs of different seeds are further repeats.")
@json_option
def aggregate_command(run_dirs: tuple[Path, ...], out: Path, stack: bool, as_json: bool) -> None:
    """Merge RUN_DIRS, shards of tasks or of repeats, into one run that everything else takes."""
    from gym_mcp.cli.summary import summary
    from gym_mcp.coordinator.aggregate import aggregate

    outcome = aggregate(run_dirs, out, stack=stack)
    if as_json:
        emit_json({"run_dir": str(outcome.run_dir), **outcome.metrics})
    else:
        click.echo(summary(outcome))
