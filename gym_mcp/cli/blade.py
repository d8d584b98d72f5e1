"""`gym-mcp blade`: packages of a skill, runs and a golden report."""

from __future__ import annotations

from pathlib import Path

import click

from gym_mcp.cli.analyze import show_problems
from gym_mcp.cli.common import emit_json, json_option

_DIR = click.option(
    "--benchmark-dir",
    "folder",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The package: skill/, rollouts/, golden_reports/.",
)


@click.group(
    epilog="""\b
Examples:
  gym-mcp blade validate --benchmark-dir analysis_skills/packages/workplace_assistant
  gym-mcp blade score report.md --benchmark-dir analysis_skills/packages/workplace_assistant

docs/analysis.md explains the layout and the grade."""
)
def blade() -> None:
    """Check and calibrate packages that grade reports about runs."""


@blade.command()
@_DIR
@click.option(
    "--phase", type=click.Choice(["all", "skill", "rollouts", "golden"]), default="all", show_default=True
)
@click.option("--min-anchor-facts", "least", type=click.IntRange(1), default=8, show_default=True)
@click.pass_context
def validate(ctx: click.Context, folder: Path, phase: str, least: int) -> None:
    """Say what is missing or wrong in a package. Exit code 1 when something is."""
    from gym_mcp.blade.package import Package
    from gym_mcp.blade.package import validate as problems_of

    problems = problems_of(Package(folder), phase, least)
    for problem in problems:
        click.echo(problem)
    if problems:
        ctx.exit(1)
    click.echo(f"{folder}: complete ({phase})")


@blade.command("extract-anchor-facts")
@_DIR
def extract(folder: Path) -> None:
    """Write the anchor facts of each golden report: the evidence of its true sentences."""
    from dataclasses import asdict

    from gym_mcp.blade.grade import extract_anchors
    from gym_mcp.blade.package import Package, read_json
    from gym_mcp.claims.syntax import read_text
    from gym_mcp.coordinator.rundir import write_json

    package = Package(folder)
    for golden in package.goldens():
        anchors = extract_anchors(read_text(golden.report), package.data(golden))
        about = read_json(golden.metrics)
        head = {"benchmark": about.get("benchmark"), "model": about.get("model_name")}
        write_json(golden.anchors, {**head, "anchor_facts": [asdict(a) for a in anchors]})
        click.echo(f"{golden.anchors}: {len(anchors)} anchor facts")


@blade.command("make-shallow")
@_DIR
def make_shallow(folder: Path) -> None:
    """Write a shallow report beside each golden one: true, and little of what matters."""
    from gym_mcp.blade.grade import shallow
    from gym_mcp.blade.package import Package
    from gym_mcp.claims.syntax import read_text
    from gym_mcp.coordinator.journal import replace_file

    for golden in Package(folder).goldens():
        replace_file(golden.shallow, [shallow(read_text(golden.report)).encode()])
        click.echo(str(golden.shallow))


@blade.command()
@_DIR
@json_option
@click.pass_context
def calibrate(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """Grade golden reports and what must not pass. Exit code 1 when one is on the wrong side."""
    from gym_mcp.blade.controls import calibrate as grades_of
    from gym_mcp.blade.package import GOLDEN, SHALLOW, Package, read_anchors
    from gym_mcp.claims.syntax import read_text

    package, found = Package(folder), {}
    for golden in package.goldens():
        text, own = map(read_text, (golden.report, golden.shallow))
        found[golden.report.name] = grades_of(text, package.data(golden), read_anchors(golden.anchors), own)
    if as_json:
        emit_json(found)
    else:
        for name, grades in found.items():
            click.echo(name)
            for kind, value in grades.items():
                click.echo(f"  {value:.3f}  {kind}")
    bad = any(
        (v <= GOLDEN) if kind == "golden" else (v >= SHALLOW) for g in found.values() for kind, v in g.items()
    )
    if bad:
        ctx.exit(1)


@blade.command()
@click.argument("report", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_DIR
@json_option
def score(report: Path, folder: Path, as_json: bool) -> None:
    """Grade REPORT against each golden report's anchor facts, and say what is wrong with it."""
    from gym_mcp.blade.grade import grade
    from gym_mcp.blade.package import Package, read_anchors
    from gym_mcp.claims.syntax import read_text

    package, text = Package(folder), read_text(report)
    found = {g.report.name: grade(text, package.data(g), read_anchors(g.anchors)) for g in package.goldens()}
    if as_json:
        emit_json({name: one.as_json() for name, one in found.items()})
        return
    for name, one in found.items():
        v = one.verdict
        show_problems(report, v)
        click.echo(
            f"{one.value:.3f}  against {name}: {v.supported} of {v.weighty} sentences that need evidence have it; "
            f"{100 * one.coverage:.0f}% of the anchor facts"
        )
