"""`gym-mcp serve`: environments as MCP servers, over HTTP or stdio."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gym_mcp.cli.common import parse_address, parse_settings
from gym_mcp.errors import UsageError

if TYPE_CHECKING:
    from gym_mcp.server.run import Serving
    from gym_mcp.server.service import Service

_EPILOG = """\b
Examples:
  gym-mcp serve counter.py                      both planes at http://127.0.0.1:8765
  gym-mcp serve workplace_assistant mcqa --http 0.0.0.0:9000 --allow-host gym.example
  gym-mcp serve counter.py --operator-http 127.0.0.1:9001
  gym-mcp serve counter.py --stdio --task t1 --record calls.jsonl

\b
With --stdio and nothing else, one new episode is served to one agent and nothing of the operator's: put it
into an agent's MCP configuration as it is:
  {"mcpServers": {"counter": {"command": "gym-mcp", "args": ["serve", "counter.py", "--stdio"]}}}

Over HTTP, `open_episode` on the operator plane gives the URL of each episode's agent plane. The operator key
stands in the file that is named at the start, or comes from GYM_MCP_OPERATOR_KEY. An agent with a shell can
reach every port of its machine: keep the key, and its file, out of the agent's reach."""


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("environments", nargs=-1, required=True, metavar="NAME|FILE.py...")
@click.option("--http", metavar="HOST:PORT", help="Listen here (default 127.0.0.1:8765; port 0 takes a free one).")
@click.option("--operator-http", metavar="HOST:PORT", help="A listener of its own for the operator plane.")
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
@click.option("--max-episodes", type=click.IntRange(min=1), default=16_384, show_default=True, help="At a time.")
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
    services = _services(options)
    _run(_stdio(services[0], options) if options["stdio"] else _http(services, options))


def _check(options: dict[str, Any]) -> None:
    """Refuse options that would be ignored."""
    stdio_only = {"--operator": "operator", "--task": "task_id", "--seed": "seed"}
    http_only = {
        "--http": "http",
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


def _services(options: dict[str, Any]) -> list[Service]:
    from gym_mcp.hub import load_environment
    from gym_mcp.server.service import Service
    from gym_mcp.store import EpisodeStore

    settings = parse_settings(options["settings"])
    judge = None
    if options["judge"] is not None:
        from gym_mcp.judge import make_judge

        judge = make_judge(options["judge"], base_url=options["judge_base_url"])
    found = []
    for spec in options["environments"]:
        cls = load_environment(spec, settings)
        cls = cls if judge is None else cls.judged_by(judge)
        store = EpisodeStore(cls, max_episodes=options["max_episodes"], ttl=options["ttl"])
        found.append(Service(cls, store=store, tasks=options["source"], record=options["record"]))
    if options["source"] is not None:
        for service in found:
            service.tasks()  # a row that does not fit is told now, not at the first request
    return found


async def _stdio(service: Service, options: dict[str, Any]) -> None:
    from gym_mcp.server.run import serve_stdio

    await serve_stdio(service, operator=options["operator"], task_id=options["task_id"], seed=options["seed"])


async def _http(services: list[Service], options: dict[str, Any]) -> None:
    from gym_mcp.server.run import serve as serve_http

    host, port = parse_address(options["http"] or "127.0.0.1:8765", "--http")
    operator = options["operator_http"]
    operator_host, operator_port = parse_address(operator, "--operator-http") if operator else (None, None)
    await serve_http(
        services,
        host=host,
        port=port,
        operator_host=operator_host,
        operator_port=operator_port,
        key_file=options["operator_key_file"],
        allow_hosts=options["allow_host"],
        ready=lambda serving: _announce(serving, as_json=options["as_json"]),
    )


def _announce(serving: Serving, *, as_json: bool) -> None:
    key_file = None if serving.key_file is None else str(serving.key_file)
    for name, endpoint in serving.endpoints.items():
        click.echo(f"{name}", err=True)
        click.echo(f"  operator plane  {endpoint.operator_url}", err=True)
        click.echo(f"  agent plane     {endpoint.agent_url}", err=True)
    click.echo(f"operator key: {key_file or 'from GYM_MCP_OPERATOR_KEY'}", err=True)
    if as_json:
        environments = {
            name: {"operator_url": e.operator_url, "agent_url": e.agent_url}
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
