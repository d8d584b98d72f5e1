"""`gym-mcp eval skills`: folders of skills as arms of one experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gym_mcp.cli.common import emit_json, json_option
from gym_mcp.cli.eval import DISK, INTERRUPTED, quiet_option, run, settings_of_flags, tell_of_disk

if TYPE_CHECKING:
    from gym_mcp.coordinator.run import Outcome
    from gym_mcp.skill_eval.experiment import Experiment

_GROUPS: Final = ("components", "usage", "judge_usage", "timing", "harness_facts")
_OWN: Final = frozenset(
    "skills out config workers ray together metrics otel otel_content quiet as_json".split()  # or not for arms
)


@click.command(
    "skills",
    epilog="""\b
Examples:
  gym-mcp eval skills -e my_env.py -H claude-code -m openai/gpt-5-mini --skills my_skills,none --repeats 4
  gym-mcp eval skills -e my_env.py -H codex -m openai/gpt-5-mini --set harness_options.shell=true --skills v1,v2
  gym-mcp eval skills -e my_env.py -H claude-code -m openai/gpt-5-mini --skills my_skills,my_skills:-counting,none
  gym-mcp eval skills --out runs/skills-my_env-3f9a1c       # go on, or show the report again

An arm is DIR (a folder of NAME/SKILL.md), DIR:SKILL (that one alone), DIR:-SKILL (all but that one) or none;
NAME=DIR gives it a name. All arms run the same tasks, seeds and repeats, side by side. OUT/runs/ARM is a run
like any other, OUT/skills.json holds the report. docs/skills.md says what it means.""",
)
@click.option("--skills", multiple=True, metavar="ARM,ARM,...", help="The arms, separated by commas. Repeatable.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The experiment's directory.  [default: runs/skills-NAME-xxxxxx]",
)
@click.option(
    "--metric", default="reward", show_default=True, help="pass, reward, components.x, usage.output_tokens, ..."
)
@quiet_option
@json_option
@click.pass_context
def skills_command(
    ctx: click.Context,
    /,
    skills: tuple[str, ...],
    out: Path | None,
    metric: str,
    quiet: bool,
    as_json: bool,
    overrides: tuple[str, ...],
    **flags: Any,
) -> None:
    """Run an agent with each of several skill sets, and without; say what the skills did."""
    from gym_mcp.cli.skills_text import page
    from gym_mcp.skill_eval.report import report

    _check_metric(metric)
    experiment = _experiment(skills, out, overrides, flags)
    complete = _run(experiment, quiet)
    paths = [experiment.run_of(arm) for arm in experiment.arms]
    found = report(experiment.arms, paths, metric)
    experiment.write_report(found)
    if as_json:
        emit_json({"out": str(experiment.path), **found})
    else:
        click.echo(page(found))
        click.echo(f"\nexperiment: {experiment.path}")
    if not complete:
        click.echo(f"gym-mcp: interrupted; go on with: gym-mcp eval skills --out {experiment.path}", err=True)
        ctx.exit(INTERRUPTED)


skills_command.params[1:1] = [p for p in run.params if p.name not in _OWN]  # the same settings, in the same words


def _check_metric(metric: str) -> None:
    """Which columns there are is known in the end; a typing error should be told in the beginning."""
    from gym_mcp.errors import UsageError
    from gym_mcp.suggest import did_you_mean

    known = ("pass", "reward", "tool_calls", "tool_errors", "attempts")
    if metric not in known and metric.partition(".")[0] not in _GROUPS:
        raise UsageError(f"--metric {metric}: no such number{did_you_mean(metric, known)}")


def _experiment(
    texts: tuple[str, ...], out: Path | None, overrides: tuple[str, ...], flags: dict[str, Any]
) -> Experiment:
    import re
    import secrets

    from gym_mcp.coordinator.config import make_config, merged, parse_overrides
    from gym_mcp.errors import UsageError
    from gym_mcp.skill_eval.arms import parse_arms
    from gym_mcp.skill_eval.experiment import Experiment

    given = merged(parse_overrides(overrides), settings_of_flags(flags))
    if flags.get("benchmark") and flags.get("environment"):
        raise UsageError("-b and -e: a benchmark names its own environment; give one of the two")
    for key in sorted({"skills", "other_skills", "workers", "ray", "together"} & given.keys()):
        raise UsageError(f"--set {key}: eval skills sets that itself")
    for noun in ("environments", "models"):
        if noun in given:
            raise UsageError(f"eval skills: one of the {noun} at a time: arms differ by their skills alone")
    arms = parse_arms(texts) if texts else None
    if out is None:
        config = make_config(given, "eval skills")
        name = config.benchmark or Path(config.environment.rstrip("/")).stem
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name.split("?")[0]).strip("-")[:60]
        out = Path("runs") / f"skills-{slug}-{secrets.token_hex(3)}"
    return Experiment.at(out, given, arms)


def _run(experiment: Experiment, quiet: bool) -> bool:
    """Run what is missing; whether all is terminal now."""
    from gym_mcp.cli.together import Board, attaching
    from gym_mcp.coordinator.journal import DiskError
    from gym_mcp.fastloop import run_loop
    from gym_mcp.skill_eval.side_by_side import run_arms

    board = Board([arm.name for arm in experiment.arms], enabled=not quiet)

    async def main() -> list[Outcome]:
        with board:
            return await run_arms(experiment, attaching(board), board.say if not quiet else None)

    experiment.lock()
    try:
        experiment.prepare()
        return all(outcome.complete for outcome in run_loop(main()))
    except DiskError as e:
        tell_of_disk(e)
        raise click.exceptions.Exit(DISK) from None
    finally:
        experiment.discard()
        experiment.unlock()
