"""`gym-mcp harness new`: a harness that works, to change into one's own."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from gym_mcp import hub
from gym_mcp.scaffold import write_harness


@click.command()
@click.argument("name")
@click.option("--langgraph", is_flag=True, help="A LangGraph graph instead of a loop (needs gym-mcp[langgraph]).")
@click.option(
    "--dir",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write it in; default: harnesses/ of the hub you stand in, else here.",
)
def new(name: str, langgraph: bool, parent: Path | None) -> None:
    """Write the harness NAME: options, a loop (or a graph), a test that it passes.

    A folder holds harness.py, README.md and test_NAME.py. Nothing is overwritten.

    \b
    Examples:
      gym-mcp harness new careful
      gym-mcp harness new careful_graph --langgraph
    """
    if parent is None:
        parent = Path("harnesses") if Path("harnesses").is_dir() else Path()
    written = write_harness(name, parent, langgraph=langgraph)
    in_hub = written.resolve().parent in [root / "harnesses" for root in hub.roots()]
    spec = written.name if in_hub else shlex.quote(str(written / "harness.py"))
    click.echo(f"wrote {written}/; next:")
    click.echo(f"  python -m pytest {shlex.quote(str(written))}")
    click.echo(f"  gym-mcp eval run -H {spec} -e workplace_assistant -m builtin/oracle --limit 5")
