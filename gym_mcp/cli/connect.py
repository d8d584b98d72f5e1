"""`gym-mcp connect`, `next`, `disconnect` and `stdio`: people and their own agents at an environment."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gym_mcp.cli.common import emit_json, json_option, parse_settings, set_option, table
from gym_mcp.errors import GymError, UsageError

if TYPE_CHECKING:
    from gym_mcp.connect.clients import Client
    from gym_mcp.connect.state import Home
    from gym_mcp.types import JSONObject

_NAMES = "claude|codex|cursor|vscode|claude-desktop|opencode|gemini|qwen"
_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_STOP_SECONDS = 60.0
_EPILOG = """\b
Examples:
  gym-mcp connect claude workplace_assistant            prints `claude mcp add ...`
  eval "$(gym-mcp connect codex counter.py)"            adds it to Codex
  gym-mcp connect cursor counter.py --write             merges it into .cursor/mcp.json
  gym-mcp connect --list                                which servers run, and where rollouts are

A server for ENV starts in the background (or the one that runs is used) and an episode is opened. The URL is the
credential: whoever knows it can act as your agent, until `gym-mcp disconnect`. The agent gets the environment's
tools and get_task, submit and next_task; each submitted episode is a rollout in the run directory that is named.
An agent with a shell on this machine can read whatever you can, run directories and tasks included."""


@click.command(epilog=_EPILOG, context_settings=_HELP)
@click.argument("client", required=False, metavar=f"[{_NAMES}]")
@click.argument("environment", required=False, metavar="[ENV]")
@click.option("--task", "task_id", metavar="ID", help="The task of the episode (default: the next in order).")
@click.option("--write", is_flag=True, help="Merge the server into the client's configuration file.")
@click.option("--print", "show", is_flag=True, help="Print the command, link or file to use (the default).")
@click.option("--scope", metavar="project|user", help="With --write: which of the client's files.")
@click.option("--name", metavar="NAME", help="What the client calls the server (default: from ENV).")
@click.option("--seat", metavar="NAME", help="A place of its own, for several agents of one client at a time.")
@click.option("--hide-score", is_flag=True, help="Do not tell the agent its score.")
@click.option(
    "--no-next", is_flag=True, help="Do not let the agent take the next task itself (`gym-mcp next` does)."
)
@click.option("--skip", is_flag=True, help="Give up an unfinished episode (recorded as cancelled).")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="The run directory.")
@click.option(
    "--input", "source", type=click.Path(path_type=Path), metavar="FILE.jsonl", help="Tasks to use instead."
)
@set_option
@click.option(
    "--idle",
    type=click.FloatRange(min=1),
    default=14_400.0,
    show_default=True,
    help="Seconds without a call after which an episode is given up. Holds from the server's start.",
)
@click.option("--foreground", is_flag=True, help="Serve in this terminal, until Ctrl-C.")
@click.option("--list", "listing", is_flag=True, help="List the servers and their seats.")
@json_option
def connect(client: str | None, environment: str | None, **options: Any) -> None:
    """Connect your own agent to an environment: print or write its client's configuration."""
    if options["listing"]:
        return _list(options["as_json"])
    if client is None or environment is None:
        raise UsageError(f"connect: a client and an environment are needed: gym-mcp connect {_NAMES} ENV")
    from gym_mcp.connect.clients import CLIENTS
    from gym_mcp.suggest import did_you_mean

    if client not in CLIENTS:
        raise UsageError(f"connect: no client `{client}`{did_you_mean(client, CLIENTS)}")
    if options["write"] and options["show"]:
        raise UsageError("connect: give one of --write and --print")
    CLIENTS[client].path(options["scope"])  # a wrong one is told before anything starts
    home, job = _job(environment, options)

    def go_on() -> None:
        _seat(home, client, CLIENTS[client], options)

    if options["foreground"]:
        _in_foreground(home, job, go_on)
    else:
        from gym_mcp.connect.launch import ensure

        started = ensure(home, job)
        try:
            go_on()
        except GymError:
            if started and not home.seats:
                _stop(home)  # nobody would know of it
            raise


def _job(environment: str, options: dict[str, Any]) -> tuple[Home, JSONObject]:
    from gym_mcp.connect.state import Home

    settings: JSONObject = dict(parse_settings(options["settings"]))
    is_file = environment.endswith(".py")
    spec = str(Path(environment).resolve()) if is_file else environment
    if is_file and not Path(spec).is_file():
        raise UsageError(f"environment {environment}: no such file")
    source = None if options["source"] is None else options["source"].resolve()
    job = {
        "environment": spec,
        "settings": settings,
        "input": None if source is None else str(source),
        "idle": options["idle"],
        "runs": str(Path("runs").resolve()),
        "cwd": str(Path.cwd()),
    }
    place = {**settings, "cwd": job["cwd"]} if settings else {}  # a setting may be a relative path
    return Home.of(spec, place, source), job


def _in_foreground(home: Home, job: JSONObject, go_on: Any) -> None:
    from gym_mcp.connect.daemon import serve

    home.make()
    with home.held() as mine:
        if not mine:
            raise UsageError("connect: its server runs in the background already; `gym-mcp disconnect` first")
        home.write(home.job_file, job)
        asyncio.run(serve(home, lambda: asyncio.to_thread(go_on)))


def _seat(home: Home, kind: str, client: Client, options: dict[str, Any]) -> None:
    from gym_mcp.connect.control import ask

    seat = options["seat"] or kind
    out = None if options["out"] is None else str(options["out"].resolve())
    about = ask(
        home,
        "seat",
        seat=seat,
        client=kind,
        task=options["task_id"],
        skip=options["skip"],
        hide_score=options["hide_score"],
        may_go_on=not options["no_next"],
        out=out,
    )
    name = options["name"] or re.sub(r"[^A-Za-z0-9_-]+", "_", about["environment"]).strip("_")[:40]
    written = client.write(name, about["url"], options["scope"]) if options["write"] else None
    if options["as_json"]:
        return emit_json({**about, "name": name, "written": None if written is None else str(written)})
    if written is None:
        for line in client.shown(name, about["url"], options["scope"]):
            click.echo(line)
    _tell(client, name, about, written, options["scope"])
    sys.stdout.flush()


def _tell(client: Client, name: str, about: JSONObject, written: Path | None, scope: str | None) -> None:
    where = (
        f"wrote {written}" if written else f"use the above, or give --write to put it into {client.path(scope)}"
    )
    lines = [
        f"{about['environment']}, task {about['task']}: {where}",
        f"then {client.after.replace('NAME', name)}",
        f"rollouts: {about['run']}",
        "the URL is the credential: whoever has it acts as your agent until `gym-mcp disconnect`: keep it",
    ]
    for line in lines:
        click.echo(line, err=True)


def _list(as_json: bool) -> None:
    from gym_mcp.connect.control import ask
    from gym_mcp.connect.state import homes

    found = [ask(home, "status") for home in homes() if home.is_running()]
    if as_json:
        return emit_json(found)
    rows = [
        [s["environment"], seat["seat"], seat["task"], "over" if seat["over"] else "open", seat["run"]]
        for s in found
        for seat in s["seats"]
    ]
    click.echo(table(["environment", "seat", "task", "episode", "run directory"], rows) if rows else "no seats")


def _servers(environment: str | None) -> list[Home]:
    from gym_mcp.connect.state import homes

    if environment is None:
        return homes()
    spec = str(Path(environment).resolve()) if environment.endswith(".py") else environment
    return [home for home in homes() if home.read(home.job_file).get("environment") == spec]


@click.command("next", context_settings=_HELP)
@click.argument("environment", required=False, metavar="[ENV]")
@click.option("--seat", metavar="NAME", help="Which seat, where there are several (`gym-mcp connect --list`).")
@click.option("--task", "task_id", metavar="ID", help="The task to do (default: the next in order).")
@click.option("--skip", is_flag=True, help="Give up an unfinished episode (recorded as cancelled).")
@json_option
def next_command(
    environment: str | None, seat: str | None, task_id: str | None, skip: bool, as_json: bool
) -> None:
    """Give a connected agent its next task; the URL and the client's configuration stay as they are.

    \b
    Examples:
      gym-mcp next
      gym-mcp next workplace_assistant --seat cursor --task t7 --skip
    """
    from gym_mcp.connect.control import ask

    running = [home for home in _servers(environment) if home.is_running()]
    if len(running) != 1:
        known = ", ".join(str(home.read(home.job_file).get("environment")) for home in running)
        raise UsageError(
            f"next: several servers run; name one: {known}"
            if running
            else "next: no server runs; `gym-mcp connect` starts one"
        )
    about = ask(running[0], "next", seat=seat, task=task_id, skip=skip)
    if as_json:
        return emit_json(about)
    click.echo(
        f"{about['environment']}: task {about['task']} is open for {about['seat']}; tell the agent to go on"
    )


@click.command(context_settings=_HELP)
@click.argument("environment", required=False, metavar="[ENV]")
def disconnect(environment: str | None) -> None:
    """Stop the background server of ENV, or all: URLs end, unfinished episodes are recorded as cancelled.

    \b
    Examples:
      gym-mcp disconnect
      gym-mcp disconnect counter.py
    """
    from gym_mcp.connect.control import Unreachable

    found = _servers(environment)
    if environment is not None and not found:
        raise UsageError(f"disconnect: nothing is connected to {environment}; see `gym-mcp connect --list`")
    for home in found:
        name = home.read(home.job_file).get("environment", home.path.name)
        try:
            stopped = _stop(home)
        except Unreachable as e:
            raise UsageError(f"{e}; end its process {home.read(home.state_file).get('pid')} yourself") from None
        given_up = f"; cancelled: {', '.join(stopped['unfinished'])}" if stopped["unfinished"] else ""
        click.echo(f"{name}: stopped{given_up}")
        for run in stopped["runs"]:
            click.echo(f"  gym-mcp eval show {run}")
    if not found:
        click.echo("nothing is connected")


def _stop(home: Home) -> JSONObject:
    """Stop a server, wait until it has recorded what was unfinished, and forget it: `unfinished` tasks, `runs`."""
    from gym_mcp.connect.control import Unreachable, ask

    stopped = ask(home, "stop") if home.is_running() else {"unfinished": [], "runs": []}
    deadline = time.monotonic() + _STOP_SECONDS
    while home.is_running():
        if time.monotonic() > deadline:
            raise Unreachable(f"the server of {home.path.name} did not end in {_STOP_SECONDS:g} s")
        time.sleep(0.02)
    home.forget()
    return stopped


@click.command(context_settings=_HELP)
def stdio() -> None:
    """Carry a stdio client's messages to its seat: the command of a client that knows no HTTP.

    \b
    Example, as `gym-mcp connect claude-desktop ENV` writes it:
      {"command": "gym-mcp", "args": ["stdio"], "env": {"GYM_MCP_SEAT_URL": "http://127.0.0.1:..."}}
    """
    from gym_mcp.connect.bridge import bridge
    from gym_mcp.connect.clients import SEAT_VARIABLE

    url = os.environ.get(SEAT_VARIABLE)
    if not url:
        raise UsageError(f"stdio: {SEAT_VARIABLE} is not set; `gym-mcp connect claude-desktop ENV` writes it")
    asyncio.run(bridge(url))
