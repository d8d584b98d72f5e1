"""`gym-mcp harness`: write one; install, list and check the programs of those that run agents."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import click

from gym_mcp.cli.common import emit_json, json_option, table, width
from gym_mcp.cli.lazy import LazyGroup, Verb

VERBS = {
    "new": Verb("gym_mcp.cli.harness_new:new", "Write a new harness that works, to change step by step."),
    "install": Verb("gym_mcp.cli.harness:install_command", "Install a harness's agent into the cache."),
    "list": Verb("gym_mcp.cli.harness:list_command", "List the harnesses that run agents, and what is installed."),
    "check": Verb(
        "gym_mcp.cli.harness:check_command", "Play one episode with an agent, without a model endpoint."
    ),
}


@click.command(
    "install",
    epilog="""\b
Examples:
  gym-mcp harness install claude-code
  gym-mcp harness install claude-code --version 2.1.197""",
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--version", default="", metavar="V", help="Another version than the one that was tested.")
def install_command(names: tuple[str, ...], version: str) -> None:
    """Install the agents of the harnesses NAME from npm or PyPI, each version in a folder of its own.

    They go to $XDG_CACHE_HOME/gym-mcp/agents, by default under ~/.cache; nothing else is touched.
    """
    from gym_mcp.agents.package import install

    for name in names:
        agent = _agent(name)
        click.echo(f"{name}: installing {agent.package.name} {version or agent.package.version} ...", err=True)
        found = install(name, agent.package, version)
        click.echo(f"{name} {found.version}: {found.program}")


@click.command("list", epilog="\b\nExample:\n  gym-mcp harness list")
@json_option
def list_command(as_json: bool) -> None:
    """List the harnesses that run agents: the tested version, what is installed, memory of one rollout."""
    from gym_mcp import hub
    from gym_mcp.agents.package import installed_versions
    from gym_mcp.errors import UsageError

    rows = []
    for entry in hub.entries("harness"):
        try:
            agent = _agent_of(hub.load_module(entry.path))
        except UsageError:  # what it needs is not installed; others are listed all the same
            continue
        if agent is not None:
            package, versions = agent.package, installed_versions(entry.name)
            rows.append(
                (entry.name, package.version, versions, f"{package.registry}:{package.name}", agent.memory_mib)
            )
    if as_json:
        fields = ("harness", "tested", "installed", "package", "memory_mib")
        emit_json([dict(zip(fields, row, strict=True)) for row in rows])
        return
    cells = [(n, t, ", ".join(v) or "-", p, f"{m} MiB") for n, t, v, p, m in rows]
    click.echo(table(("HARNESS", "TESTED", "INSTALLED", "PACKAGE", "MEMORY"), cells, limit=width()))


@click.command("check", epilog="\b\nExample:\n  gym-mcp harness check claude-code")
@click.argument("name")
@click.option("--version", default="", metavar="V", help="Another version than the one that was tested.")
def check_command(name: str, version: str) -> None:
    """Play one episode of a small environment with NAME's agent; the embedded oracle is its model.

    Shows that the agent starts here, finds its model and its tools, and ends well. Needs no key and no network.
    """
    import asyncio

    from gym_mcp.agents.check import check

    _agent(name)
    click.echo(asyncio.run(check(name, version)))


def _agent(name: str) -> Any:
    from gym_mcp import hub
    from gym_mcp.errors import UsageError

    agent = _agent_of(hub.load_module(hub.find("harness", name)))
    if agent is None:
        raise UsageError(f"harness {name}: runs inside gym-mcp; there is nothing to install")
    return agent


def _agent_of(module: ModuleType) -> Any:
    """The agent class of a harness module; None for harnesses that run none."""
    from gym_mcp.agents.agent import Agent

    found = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Agent)]
    return next((cls for cls in found if cls.__module__ == module.__name__), None)


@click.group("harness", cls=LazyGroup, verbs=VERBS)
def harness_group() -> None:
    """Write harnesses; install, list and check the agents that some of them run.

    A harness turns a model into an agent: `async def run(session, model, limits)`, or a LangGraph graph.
    """
