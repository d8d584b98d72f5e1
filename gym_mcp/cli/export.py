"""`gym-mcp export`: a run's rollouts in another system's format."""

from __future__ import annotations

from pathlib import Path

import click

from gym_mcp.cli.common import emit_json, json_option


@click.command(
    "export",
    epilog="""\b
Example:
  gym-mcp export runs/mcqa-openai-gpt-5-mini-3f9a1c --format nemo-gym -o exported/""",
)
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
@click.option("--format", "format_", type=click.Choice(["nemo-gym"]), required=True, help="Whose format.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Where to.  [default: RUN_DIR/FORMAT]")
@json_option
def export(run_dir: Path, format_: str, out: Path | None, as_json: bool) -> None:
    """Write the rollouts and aggregate metrics of RUN_DIR in another format.

    nemo-gym: rollouts.jsonl (scored rows), rollouts_failures.jsonl, rollouts_materialized_inputs.jsonl and
    rollouts_aggregate_metrics.json, with the field names of NeMo Gym 0.5.
    """
    from gym_mcp.coordinator.rundir import RunDirectory
    from gym_mcp.export import nemo_gym

    paths = nemo_gym.export(RunDirectory.existing(run_dir), out or run_dir / format_)
    if as_json:
        emit_json({role: str(path) for role, path in paths.items()})
        return
    for path in paths.values():
        click.echo(path)
