"""`gym-mcp env`: write a new environment, and test one."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gym_mcp import hub
from gym_mcp.cli.common import emit_json, json_option, parse_settings, set_option, width
from gym_mcp.cli.lazy import LazyGroup, Verb
from gym_mcp.errors import UsageError
from gym_mcp.report_card import Check, ReportCard, examine, render
from gym_mcp.scaffold import write_file, write_folder

VERBS = {
    "new": Verb("gym_mcp.cli.env:new", "Write a new environment that works, to change step by step."),
    "test": Verb("gym_mcp.cli.env:test_command", "Examine environments: the report card."),
    "info": Verb("gym_mcp.cli.env_info:info", "What an environment is: tools, tasks, reward, options."),
    "serve": Verb("gym_mcp.cli.serve:serve", "Serve environments as MCP servers (same as `gym-mcp serve`)."),
}


@click.command()
@click.argument("name")
@click.option(
    "--dir",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write it in; default: tool_servers/ of the hub you stand in, else here.",
)
@click.option("--single-file", is_flag=True, help="Write one NAME.py with the tasks inside, instead of a folder.")
def new(name: str, parent: Path | None, single_file: bool) -> None:
    """Write the environment NAME: two tools, state, typed tasks, a verifier and a reference solution.

    It works as written and passes its own tests; change it into yours. A folder holds server.py, tasks.jsonl,
    README.md and test_NAME.py. Nothing is overwritten.

    \b
    Examples:
      gym-mcp env new stock_room
      gym-mcp env new stock_room --single-file --dir envs
    """
    if parent is None:
        parent = Path("tool_servers") if Path("tool_servers").is_dir() and not single_file else Path()
    for line in _after(write_file(name, parent) if single_file else write_folder(name, parent)):
        click.echo(line)


def _after(written: Path) -> Iterator[str]:
    """What was written, and the three commands to run next."""
    in_hub = written.resolve().parent in [root / "tool_servers" for root in hub.roots()]
    file = written if written.is_file() else written / "server.py"
    spec = written.name if in_hub and written.is_dir() else shlex.quote(str(file))
    yield f"wrote {written}{'/' if written.is_dir() else ''}; next:"
    yield f"  gym-mcp env test {spec}"
    yield f"  gym-mcp eval run -e {spec} -m builtin/noisy-oracle --repeats 4"
    yield f"  python -m pytest {shlex.quote(str(written))}" if written.is_dir() else f"  gym-mcp serve {spec}"


@click.command("test")
@click.argument("names", nargs=-1, metavar="[NAME|FILE.py]...")
@click.option("--all", "every", is_flag=True, help="Every environment of the hubs.")
@click.option(
    "--input",
    "source",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Task rows (JSONL) to use instead of the environment's own.",
)
@set_option
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of episodes and of random calls.")
@click.option("--limit", type=click.IntRange(min=1), help="Use the first N tasks only.")
@json_option
def test_command(
    names: tuple[str, ...],
    every: bool,
    source: Path | None,
    settings: tuple[str, ...],
    seed: int,
    limit: int | None,
    as_json: bool,
) -> None:
    """Examine environments and print a report card for each.

    \b
    The checks:
      schema       every tool has a valid, portable JSON schema and a description
      rows         all tasks load, ids are unique, rows survive JSON
      oracle       solution() gets the best reward on every task
      null         saying nothing gets no more than the floor on every task
      constants    '', 'A', '0', 'yes', ... get no more than the floor on average
      replay       the same calls in a fresh episode give the same results and reward
      seed         one seed gives one episode, in this process and in another
      interleaved  episodes played in turns end as they do one after the other
      no_leak      the answer is in no tool description and no resource
      answers      random answers get a reward inside the declared range
      calls        random calls, valid and not, raise nothing but ToolError, and read-only
                   ones change no state
      snapshot     restoring a snapshot takes the episode back
      growth       opening and closing episodes leaves nothing behind
      group        with verify_group: the order of a group's rollouts does not change its scores

    A check that needs what the environment does not have (tasks, a solution) is skipped and says what to add.
    Exit code 1 when a check failed.

    \b
    Examples:
      gym-mcp env test mcqa
      gym-mcp env test counter.py --input rows.jsonl
      gym-mcp env test --all --json
    """
    if every == bool(names):
        raise UsageError("env test: name environments, or give --all")
    if every:
        names = tuple(entry.name for entry in hub.entries("environment"))
    if source is not None and len(names) != 1:
        raise UsageError("env test: --input goes with one environment")
    options = parse_settings(settings)
    cards: list[ReportCard] = []
    for name in names:
        cards.append(_examined(name, options, every, source=source, seed=seed, limit=limit))
        if not as_json:
            click.echo(render(cards[-1], width()))
    if as_json:
        emit_json([card.as_json() for card in cards])
    click.get_current_context().exit(1 if any(card.failed for card in cards) else 0)


def _examined(name: str, options: dict[str, str], every: bool, *, seed: int, **how: Any) -> ReportCard:
    """The report card of one environment; with `every`, one that does not load must not hide the others."""
    try:
        cls = hub.load_environment(name, options)
    except UsageError as e:
        if not every:
            raise
        return ReportCard(name, "?", seed, checks=[Check("load", "fail", str(e))])
    with _Doing(name) as doing:
        return asyncio.run(examine(cls, seed=seed, on_check=doing, **how))


class _Doing:
    """Says on a terminal which check is under way: a tool that hangs takes its time to be found out."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._width = 0

    def __enter__(self) -> _Doing:
        return self

    def __exit__(self, *exc: object) -> None:
        self._say("")

    def __call__(self, check: str) -> None:
        self._say(f"{self._name}: {check} ...")

    def _say(self, text: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{text.ljust(self._width)}\r{text}", nl=False, err=True)
            self._width = len(text)


@click.group("env", cls=LazyGroup, verbs=VERBS)
def env_group() -> None:
    """Write, test, inspect and serve environments.

    An environment is a Python class with tools, state and verification; `gym-mcp env new` writes one to start
    from. NAME is an environment of the hubs (`gym-mcp list environments`); a path to a .py file works as well.
    """
