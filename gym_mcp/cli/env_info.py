"""`gym-mcp env info`: one environment as its author declared it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gym_mcp.cli.common import emit_json, json_option, parse_settings, set_option
from gym_mcp.cli.typenames import type_name
from gym_mcp.datasets import load_tasks
from gym_mcp.direct import describe
from gym_mcp.environment import Environment
from gym_mcp.hub import load_environment
from gym_mcp.types import JSONObject


@click.command()
@click.argument("name", metavar="NAME|FILE.py")
@set_option
@json_option
def info(name: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Show what an environment is: tools with their arguments, tasks, reward, floor, options, content hashes.

    The hashes decide what a resumed run may reuse: `environment` covers the code, `verifier` the scoring,
    `options` the settings.

    \b
    Examples:
      gym-mcp env info mcqa
      gym-mcp env info workplace_assistant --json
    """
    facts = describe_fully(load_environment(name, parse_settings(settings) or None))
    if as_json:
        emit_json(facts)
    else:
        click.echo("\n".join(_page(facts)))


def describe_fully(cls: type[Environment[Any]]) -> JSONObject:
    """Everything that `env info` tells, as JSON; it names no path."""
    found = describe(cls, num_tasks=sum(1 for _ in load_tasks(cls)))
    return {
        "name": found.name,
        "version": found.version,
        "summary": found.summary,
        "about": readme_paragraph(cls),
        "domain": cls.domain,
        "tags": list(cls.tags),
        "interaction": found.interaction,
        "reward_range": list(found.reward_range),
        "higher_is_better": found.higher_is_better,
        "floor": found.floor,
        "has_solution": found.has_solution,
        "num_tasks": found.num_tasks,
        "max_live": found.max_live,
        "tools_vary_by_task": cls.has("tools_for"),
        "tools": found.tools,
        "options": list(_options(cls)),
        "identity": dict(found.identity),
    }


def readme_paragraph(cls: type[Environment[Any]]) -> str:
    """First paragraph of prose in the README of a hub environment, on one line; empty without one."""
    file = Path(getattr(sys.modules.get(cls.__module__), "__file__", None) or "")
    readme = file.parent / "README.md"
    if file.name != "server.py" or not readme.is_file():
        return ""
    for block in re.split(r"\n\s*\n", readme.read_text(encoding="utf-8")):
        text = block.strip()
        if text and text[0] not in "#|`[!<-*":
            return " ".join(text.split())
    return ""


def _options(cls: type[Environment[Any]]) -> Iterator[JSONObject]:
    schema = cls.Options.model_json_schema()
    for name, option in cls.Options.model_fields.items():
        yield {
            "name": name,
            "type": type_name(schema["properties"][name], schema),
            "required": option.is_required(),
            "default": None if option.is_required() else schema["properties"][name].get("default"),
            "description": option.description or "",
        }


def _page(facts: Mapping[str, Any]) -> Iterator[str]:
    low, high = facts["reward_range"]
    better = "higher" if facts["higher_is_better"] else "lower"
    yield f"{facts['name']}  version {facts['version']}"
    yield f"  {facts['summary']}"
    if facts["about"]:
        yield from ("", *_wrapped(facts["about"], "  "))
    yield ""
    yield f"interaction  {facts['interaction']}"
    yield f"domain       {', '.join((facts['domain'], *facts['tags']))}"
    yield f"reward       {low:g} to {high:g}, {better} is better; floor {facts['floor']:g}"
    yield f"tasks        {facts['num_tasks']}{'' if facts['has_solution'] else '; no reference solution'}"
    if facts["max_live"]:
        yield f"holds        {facts['max_live']} episodes at a time"
    yield f"hashes       {', '.join(f'{k} {v}' for k, v in facts['identity'].items())}"
    if facts["options"]:
        yield from ("", "options (--set env.NAME=VALUE)")
    for option in facts["options"]:
        unless = "unset" if option["default"] is None else f"default {option['default']!r}"
        default = "required" if option["required"] else unless
        yield f"  {option['name']}: {option['type']}, {default}"
        yield from _wrapped(option["description"], "      ")
    vary = "; the task decides which, and may bring its own" if facts["tools_vary_by_task"] else ""
    yield from ("", f"tools ({len(facts['tools']) or 'none'}{vary})")
    for tool in facts["tools"]:
        yield from _tool(tool)


def _tool(tool: Mapping[str, Any]) -> Iterator[str]:
    schema = tool["inputSchema"]
    required = schema.get("required", ())
    names = [name if name in required else f"[{name}]" for name in schema.get("properties", {})]
    yield f"  {tool['name']}({', '.join(names)}){'  read-only' if tool['readOnly'] else ''}"
    for paragraph in tool["description"].split("\n\n"):
        yield from _wrapped(paragraph, "      ")
    for name, argument in schema.get("properties", {}).items():
        default = f" = {argument['default']!r}" if argument.get("default") is not None else ""
        text = f"{name} ({type_name(argument, schema)}{default})"
        about = argument.get("description", "")
        yield from _wrapped(f"{text}: {about}" if about else text, "        ")


def _wrapped(text: str, indent: str) -> list[str]:
    if not text:
        return []
    return click.wrap_text(" ".join(text.split()), 100, indent, indent + "  " * (len(indent) > 6)).splitlines()
