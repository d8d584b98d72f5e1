"""`gym-mcp eval run|resume|show`: evaluations from the command line."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gym_mcp.cli.common import emit_json, json_option, parse_price
from gym_mcp.cli.lazy import LazyGroup, Verb
from gym_mcp.cli.observe import observe_of, observe_options

if TYPE_CHECKING:
    from gym_mcp.coordinator.coordinator import Coordinator
    from gym_mcp.coordinator.journal import DiskError
    from gym_mcp.coordinator.run import Outcome

INTERRUPTED, DISK = 130, 3

VERBS = {
    "run": Verb("gym_mcp.cli.eval:run", "Run a model on an environment's tasks and score it."),
    "prepare": Verb("gym_mcp.cli.prepare:prepare_command", "Fetch a benchmark's dataset."),
    "skills": Verb("gym_mcp.cli.skills:skills_command", "Whether skills help an agent, and whether it uses them."),
    "resume": Verb("gym_mcp.cli.eval:resume_command", "Run what a run directory still lacks."),
    "score": Verb("gym_mcp.cli.score:score", "Score recorded replies without any model."),
    "reverify": Verb("gym_mcp.cli.reverify:reverify_command", "Score a run again under a changed verifier."),
    "profile": Verb(
        "gym_mcp.cli.profile:profile_command", "Everything about a run: intervals, k, groups, effort."
    ),
    "aggregate": Verb("gym_mcp.cli.aggregate:aggregate_command", "Merge shards and machines into one run."),
    "compare": Verb("gym_mcp.cli.compare:compare_command", "Whether runs of the same tasks differ, task by task."),
    "show": Verb("gym_mcp.cli.eval:show", "Print the table of a run directory."),
}

quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")


@click.command(
    "run",
    epilog="""\b
Examples:
  gym-mcp eval run -e workplace_assistant -m builtin/noisy-oracle --repeats 4
  gym-mcp eval run -e my_env.py -m openai/gpt-5-mini --input tasks.jsonl --limit 50
  gym-mcp eval run -e mcqa -m openai-chat/qwen3 --base-url http://127.0.0.1:8000/v1
  gym-mcp eval run -b gsm8k --split smoke -m openai/gpt-5-mini
  gym-mcp eval run -e http://127.0.0.1:8765/counter -m openai/gpt-5-mini
  gym-mcp eval run --config experiment.yaml --set limits.turns=20
  gym-mcp eval run -e mcqa -e workplace_assistant -m openai/gpt-5-mini --together

An experiment file (YAML or TOML) holds the settings above by their names, and `environments`, `models` and
`harnesses` as lists: every combination is run, one after another or, with --together, all at once. Flags and
--set win over the file.

Every expected rollout ends scored or failed with a reason; Ctrl-C lets running ones finish (twice: gives them
up), and `gym-mcp eval resume RUN_DIR` goes on from there. Exit codes: 0 every rollout is terminal, 2 wrong
usage, 3 the disk gave out, 130 interrupted.""",
)
@click.option(
    "-e",
    "--environment",
    multiple=True,
    metavar="NAME",
    help="A name, a FILE.py, or the URL of a served environment. Repeatable.",
)
@click.option(
    "-b", "--benchmark", metavar="NAME", help="A benchmark instead: its environment, tasks, repeats and sampling."
)
@click.option("--split", metavar="NAME", help="Of the benchmark; `smoke` needs no download.  [default: its first]")
@click.option(
    "-m",
    "--model",
    multiple=True,
    metavar="SPEC",
    help="A model spec: openai/NAME, openai-chat/NAME, builtin/oracle, replay/RUN_DIR. Repeatable.",
)
@click.option("-H", "--harness", metavar="NAME", help="What turns the model into an agent.  [default: simple]")
@click.option("--skills", metavar="DIR", help="Skills for the agent, DIR/NAME/SKILL.md; `none`: the control arm.")
@click.option("--base-url", metavar="URL", help="The model endpoint, e.g. http://127.0.0.1:8000/v1.")
@click.option("--input", type=click.Path(path_type=Path), help="Task rows (JSONL) instead of the bundled ones.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Take the first N tasks, before repeats.")
@click.option("--repeats", type=click.IntRange(1), metavar="N", help="Rollouts of each task.  [default: 1]")
@click.option(
    "--concurrency", type=click.IntRange(1), metavar="N", help="Rollouts at a time, at most.  [default: 64]"
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Worker processes that share the rollouts.  [default: 1]",
)
@click.option("--together", is_flag=True, default=None, help="Several runs at once, which share --concurrency.")
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Run on a Ray cluster: auto, local, HOST:PORT, ray://HOST:PORT. --workers: actors.  [default: all CPUs]",
)
@click.option(
    "--seed", type=int, metavar="N", help="Seeds every episode, with its task's id and repeat.  [default: 0]"
)
@click.option("--out", type=click.Path(path_type=Path), help="The run directory.  [default: runs/NAME-xxxxxx]")
@click.option(
    "--temperature", type=float, metavar="T", help="Sampling, like --top-p; more with --set sampling.KEY=VALUE."
)
@click.option("--top-p", type=float, metavar="P")
@click.option("--max-output-tokens", type=click.IntRange(1), metavar="N", help="Of one model call.")
@click.option("--max-turns", type=click.IntRange(1), metavar="N", help="Model calls of a rollout.  [default: 100]")
@click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Input and output tokens of a rollout.")
@click.option("--max-cost", type=float, metavar="USD", help="US dollars of a rollout; needs --price.")
@click.option(
    "--max-seconds",
    type=float,
    metavar="SECONDS",
    help="A rollout fails as `timeout` after this.  [default: 3600]",
)
@click.option(
    "--max-memory",
    type=click.IntRange(1),
    metavar="MIB",
    help="Of a rollout of an agent program; above, it fails.",
)
@click.option(
    "--model-timeout", type=float, metavar="SECONDS", help="Seconds for one try of a model call.  [default: 600]"
)
@click.option(
    "--max-retries", type=click.IntRange(0), metavar="N", help="Further tries of a model call.  [default: 5]"
)
@click.option("--max-attempts", type=click.IntRange(1), metavar="N", help="Attempts at a rollout.  [default: 2]")
@click.option(
    "--judge", help="A model for the environment's verifier to ask; replay:FILE.jsonl for recorded replies."
)
@click.option("--judge-base-url", metavar="URL", help="The judge's endpoint.")
@click.option("--judge-price", metavar="IN,OUT", help="Like --price, for the judge.")
@click.option("--no-judge-cache", "judge_cache", flag_value=False, default=None, help="Ask the judge every time.")
@click.option("--price", metavar="IN,OUT", help="US dollars per million input and output tokens.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="An experiment file.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Any setting, dotted. Repeatable.")
@observe_options
@quiet_option
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    /,
    out: Path | None,
    config: Path | None,
    overrides: tuple[str, ...],
    metrics: str | None,
    otel: str | None,
    otel_content: bool,
    quiet: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Run MODEL with a harness on the tasks of ENVIRONMENT, and score it."""
    from gym_mcp.coordinator.config import load_experiment, make_plan, merged, parse_overrides
    from gym_mcp.coordinator.run import start
    from gym_mcp.errors import UsageError

    settings = merged(parse_overrides(overrides), settings_of_flags(flags))
    if flags.get("benchmark") and flags.get("environment"):
        raise UsageError("-b and -e: a benchmark names its own environment; give one of the two")
    plan = make_plan(settings) if config is None else load_experiment(config, settings)
    if out is not None and len(plan.runs) > 1:
        raise UsageError(f"--out {out}: these are {len(plan.runs)} runs; each gets a directory under runs/")
    side_by_side = plan.together and len(plan.runs) > 1
    if metrics is not None and side_by_side:
        raise UsageError("--metrics: runs that go on together have no page of their own; `gym-mcp top` shows each")
    observe = observe_of(metrics, otel, otel_content, ray=plan.runs[0].ray)
    if side_by_side:
        from gym_mcp.cli.together import drive_together

        outcomes, errors = drive_together(plan, quiet, observe)
        _finish(ctx, outcomes, as_json, errors)
        return
    outcomes = []
    for one in plan.runs:
        outcomes.append(_drive(lambda *parts, one=one: start(one, out, *parts, observe=observe), quiet))
        if not outcomes[-1].complete:
            break
    _finish(ctx, outcomes, as_json, ray=plan.runs[0].ray)


@click.command(
    "resume",
    epilog="""\b
Examples:
  gym-mcp eval resume runs/mcqa-openai-gpt-5-mini-3f9a1c
  gym-mcp eval resume runs/mcqa-openai-gpt-5-mini-3f9a1c --retry-failed""",
)
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
@click.option("--retry-failed", is_flag=True, help="Run the failed rollouts again, too.")
@click.option("--base-url", help="Where the model is served now.")
@click.option("--judge-base-url", metavar="URL", help="Where the judge is served now.")
@click.option("--concurrency", type=click.IntRange(1), metavar="N", help="Rollouts at a time, at most.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Worker processes that share the rollouts.")
@click.option("--ray", metavar="ADDRESS", help="Go on on a Ray cluster; without it, on this machine.")
@observe_options
@quiet_option
@json_option
@click.pass_context
def resume_command(
    ctx: click.Context,
    /,
    run_dir: Path,
    retry_failed: bool,
    base_url: str | None,
    judge_base_url: str | None,
    concurrency: int | None,
    workers: int | None,
    ray: str | None,
    metrics: str | None,
    otel: str | None,
    otel_content: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run what RUN_DIR still lacks, under the same settings.

    Nothing that is scored runs again. If the model, the prompt, the tasks, the harness or the environment
    changed, it is refused and told; if only the verifier changed, the scored rollouts are verified again from
    their ledgers.
    """
    from gym_mcp.coordinator.run import resume

    observe = observe_of(metrics, otel, otel_content, ray=ray)

    def go(*parts: Any) -> Awaitable[Outcome]:
        asked: Any = {"base_url": base_url, "judge_base_url": judge_base_url, "ray": ray}
        asked |= {"concurrency": concurrency, "workers": workers}
        return resume(run_dir, *parts, retry_failed=retry_failed, observe=observe, **asked)

    _finish(ctx, [_drive(go, quiet)], as_json, ray=ray)


@click.command("show", epilog="\b\nExample:\n  gym-mcp eval show runs/mcqa-builtin-noisy-oracle-3f9a1c")
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
@json_option
def show(run_dir: Path, as_json: bool) -> None:
    """Print the table of RUN_DIR, finished or not, running or not."""
    from gym_mcp.coordinator.run import summarize

    outcome = summarize(run_dir)
    _print(outcome, as_json)


def settings_of_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given, as nested settings."""
    given = {k: v for k, v in flags.items() if v is not None and v != ()}
    for noun in ("environment", "model"):
        if noun in given:
            several = given.pop(noun)
            given |= {noun: several[0]} if len(several) == 1 else {f"{noun}s": list(several)}
    limits = {k.removeprefix("max_"): given.pop(k) for k in _LIMITS if k in given}
    sampling = {k: given.pop(k) for k in ("temperature", "top_p", "max_output_tokens") if k in given}
    for key in ("price", "judge_price"):
        if key in given:
            given[key] = parse_price(given[key], f"--{key.replace('_', '-')}")
    return {**given, **({"limits": limits} if limits else {}), **({"sampling": sampling} if sampling else {})}


_LIMITS = ("max_turns", "max_tokens", "max_cost", "max_seconds")


def _drive(go: Callable[..., Awaitable[Outcome]], quiet: bool) -> Outcome:
    """Run to the end on a fast loop, with progress on stderr and Ctrl-C as a wish to drain."""
    from gym_mcp.cli.progress import Progress
    from gym_mcp.coordinator.journal import DiskError
    from gym_mcp.fastloop import run_loop

    progress = Progress(enabled=not quiet)

    def on_ready(coordinator: Coordinator) -> None:
        progress.attach(coordinator)
        drain_on_signals([coordinator])

    async def main() -> Outcome:
        with progress:
            return await go([progress.on_event], on_ready)

    try:
        return run_loop(main())
    except DiskError as e:
        tell_of_disk(e)
        raise click.exceptions.Exit(DISK) from None


def tell_of_disk(error: DiskError) -> None:
    from gym_mcp.coordinator.journal import JournalError

    safe = "; what was journalled is safe: `gym-mcp eval resume` goes on"
    click.echo(f"gym-mcp: {error}{safe if isinstance(error, JournalError) else ''}", err=True)


def drain_on_signals(coordinators: Sequence[Coordinator]) -> None:
    """First signal: start nothing new. Second: give up what is in flight."""
    heard = False

    def on_signal() -> None:
        nonlocal heard
        for coordinator in coordinators:
            if heard:
                coordinator.stop()
            else:
                coordinator.drain("interrupted")
        heard = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)


def _finish(
    ctx: click.Context,
    outcomes: list[Outcome],
    as_json: bool,
    errors: Sequence[BaseException] = (),
    ray: str | None = None,
) -> None:
    from gym_mcp.coordinator.journal import DiskError

    if as_json and len(outcomes) + len(errors) > 1:
        emit_json({"runs": [_as_json(o) for o in outcomes]})
    else:
        for outcome in outcomes:
            _print(outcome, as_json)
    if len(outcomes) > 1 and not as_json:
        from gym_mcp.cli.summary import grid

        click.echo(grid(outcomes))
    for error in errors:
        if not isinstance(error, DiskError):
            raise error
        tell_of_disk(error)
    there = f" --ray {ray}" if ray else ""
    for outcome in outcomes:
        if not outcome.complete:
            again = f"gym-mcp eval resume {outcome.run_dir}{there}"
            click.echo(f"gym-mcp: interrupted; go on with: {again}", err=True)
    if errors:
        ctx.exit(DISK)
    if not all(outcome.complete for outcome in outcomes):
        ctx.exit(INTERRUPTED)


def _print(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        emit_json(_as_json(outcome))
        return
    from gym_mcp.cli.summary import summary

    click.echo(summary(outcome))
    sys.stdout.flush()


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {"run_dir": str(outcome.run_dir), **outcome.metrics}


@click.group("eval", cls=LazyGroup, verbs=VERBS)
def eval_group() -> None:
    """Run an evaluation, resume it, show its results."""
