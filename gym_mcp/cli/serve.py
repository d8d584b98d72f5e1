"""`gym-mcp serve`: environments as MCP servers, over HTTP or stdio."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gym_mcp.cli.common import parse_address, parse_settings
from gym_mcp.errors import UsageError

if TYPE_CHECKING:
    from gym_mcp.server.offer import Offer
    from gym_mcp.server.run import Serving
    from gym_mcp.server.service import Service

_EPILOG = """\b
Examples:
  gym-mcp serve counter.py                      both planes at http://127.0.0.1:8765
  gym-mcp serve workplace_assistant mcqa --http 0.0.0.0:9000 --allow-host gym.example
  gym-mcp serve counter.py --operator-http 127.0.0.1:9001
  gym-mcp serve counter.py --workers 4           four processes, on ports 8765 to 8768
  gym-mcp serve counter.py --stdio --task t1 --record calls.jsonl

\b
With --stdio and nothing else, one new episode is served to one agent and nothing of the operator's: put it
into an agent's MCP configuration as it is:
  {"mcpServers": {"counter": {"command": "gym-mcp", "args": ["serve", "counter.py", "--stdio"]}}}

Over HTTP, `open_episode` on the operator plane gives the URL of each episode's agent plane. The operator key
stands in the file that is named at the start, or comes from GYM_MCP_OPERATOR_KEY. An agent with a shell can
reach every port of its machine: keep the key, and its file, out of the agent's reach.

With --workers N each process serves everything on a port of its own, counted up from --http's (and from
--operator-http's). An episode stays in the worker that opened it. `eval run -e URL` needs the URL of the first."""


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("environments", nargs=-1, required=True, metavar="NAME|FILE.py...")
@click.option("--http", metavar="HOST:PORT", help="Listen here (default 127.0.0.1:8765; port 0 takes a free one).")
@click.option("--operator-http", metavar="HOST:PORT", help="A listener of its own for the operator plane.")
@click.option(
    "--workers", type=click.IntRange(1, 256), help="Processes that serve, on consecutive ports (default 1)."
)
@click.option("--stdio", is_flag=True, help="Serve one client over stdin and stdout.")
@click.option("--operator", is_flag=True, help="With --stdio: the operator plane, not one episode's agent plane.")
@click.option("--task", "task_id", metavar="ID", help="With --stdio: the episode's task (default: the first).")
@click.option("--seed", type=click.IntRange(min=0), help="With --stdio: the episode's seed.")
@click.option(
    "--input", "source", type=click.Path(path_type=Path), metavar="FILE.jsonl", help="Tasks to serve instead."
)
@click.option("--set", "settings", multiple=True, metavar="env.KEY=VALUE", help="An option of the environments.")
@click.option("--judge", metavar="SPEC", help="A model for their verifiers to ask, or replay:FILE.jsonl.")
@click.option("--judge-base-url", metavar="URL", help="The judge's endpoint.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Append every tool call to this JSONL file.",
)
@click.option(
    "--operator-key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Read the operator key from this file, or create it there.",
)
@click.option("--allow-host", multiple=True, metavar="NAME", help="A name clients may use besides loopback's.")
@click.option(
    "--max-episodes",
    type=click.IntRange(min=1),
    default=16_384,
    show_default=True,
    help="Of an environment, at a time; workers share it out. More wait.",
)
@click.option(
    "--max-calls",
    type=click.IntRange(min=1),
    metavar="N",
    help="Tool calls of an environment in progress at a time; workers share it out. More wait.",
)
@click.option(
    "--ttl",
    type=click.FloatRange(min=0, min_open=True),
    default=3_600.0,
    show_default=True,
    help="Seconds without a call after which an episode expires.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line on stdout when requests are answered.")
def serve(**options: Any) -> None:
    """Serve environments as MCP servers, over HTTP or stdio.

    Each environment has two planes. The agent plane is one URL per episode and shows the tools of its task. The
    operator plane opens, scores and closes episodes.
    """
    _check(options)
    offer = _offer(options)
    if options["stdio"]:
        _run(_stdio(offer.services()[0], options))
    elif (options["workers"] or 1) > 1:
        _run(_workers(offer, options))
    else:
        _run(_http(offer.services(), options))


def _check(options: dict[str, Any]) -> None:
    """Refuse options that would be ignored."""
    stdio_only = {"--operator": "operator", "--task": "task_id", "--seed": "seed"}
    http_only = {
        "--http": "http",
        "--workers": "workers",
        "--operator-http": "operator_http",
        "--operator-key-file": "operator_key_file",
        "--allow-host": "allow_host",
        "--json": "as_json",
    }
    wrong, mode = (http_only, "without --stdio") if options["stdio"] else (stdio_only, "with --stdio")
    for flag, name in wrong.items():
        if options[name] not in (None, False, ()):
            raise UsageError(f"serve: {flag} works {mode} only")
    if options["stdio"] and len(options["environments"]) != 1:
        raise UsageError("serve: --stdio serves one environment")
    if options["operator"] and (options["task_id"] is not None or options["seed"] is not None):
        raise UsageError("serve: --operator opens its episodes itself; --task and --seed are for the agent plane")


def _offer(options: dict[str, Any]) -> Offer:
    from gym_mcp.server.offer import Offer

    return Offer(
        environments=list(options["environments"]),
        settings=parse_settings(options["settings"]),
        tasks=options["source"],
        record=options["record"],
        judge=options["judge"],
        judge_base_url=options["judge_base_url"],
        max_episodes=options["max_episodes"],
        max_calls=options["max_calls"],
        ttl=options["ttl"],
    )


async def _stdio(service: Service, options: dict[str, Any]) -> None:
    from gym_mcp.server.run import serve_stdio

    await serve_stdio(service, operator=options["operator"], task_id=options["task_id"], seed=options["seed"])


async def _http(services: list[Service], options: dict[str, Any]) -> None:
    from gym_mcp.server.run import serve as serve_http

    await serve_http(services, **_listening(options))


async def _workers(offer: Offer, options: dict[str, Any]) -> None:
    from gym_mcp.server.supervisor import serve_workers

    say = partial(click.echo, err=True)
    await serve_workers(offer, options["workers"], say=say, **_listening(options))


def _listening(options: dict[str, Any]) -> dict[str, Any]:
    """Where to listen, and what to say then."""
    host, port = parse_address(options["http"] or "127.0.0.1:8765", "--http")
    operator = options["operator_http"]
    operator_host, operator_port = parse_address(operator, "--operator-http") if operator else (None, None)
    return {
        "host": host,
        "port": port,
        "operator_host": operator_host,
        "operator_port": operator_port,
        "key_file": options["operator_key_file"],
        "allow_hosts": options["allow_host"],
        "ready": lambda serving: _announce(serving, as_json=options["as_json"]),
    }


def _announce(serving: Serving, *, as_json: bool) -> None:
    key_file = None if serving.key_file is None else str(serving.key_file)
    for name, endpoint in serving.endpoints.items():
        click.echo(f"{name}", err=True)
        click.echo(f"  operator plane  {endpoint.operator_url}", err=True)
        click.echo(f"  agent plane     {endpoint.agent_url}", err=True)
        if len(endpoint.workers) > 1:
            click.echo(f"  {len(endpoint.workers)} workers       the last: {endpoint.workers[-1]}", err=True)
    click.echo(f"operator key: {key_file or 'from GYM_MCP_OPERATOR_KEY'}", err=True)
    if as_json:
        environments = {
            name: {"operator_url": e.operator_url, "agent_url": e.agent_url, "workers": list(e.workers)}
            for name, e in serving.endpoints.items()
        }
        line = {"environments": environments, "operator_key_file": key_file, "pid": os.getpid()}
        click.echo(json.dumps(line))


def _run(main: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
