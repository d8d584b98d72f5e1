"""`gym-mcp list` and `gym-mcp search`: what the hubs and the model catalogue hold, nothing of it imported."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from gym_mcp import hub
from gym_mcp.cli.common import emit_json, json_option, table, width

KINDS = {
    "environments": "environment",
    "benchmarks": "benchmark",
    "harnesses": "harness",
    "models": "model",
    "skills": "skill",
}
COLUMNS = {
    "environment": ("domain", "tools"),
    "benchmark": ("domain", "category", "repeats", "status", "needs"),
    "harness": (),
    "model": (),
    "skill": (),
}
ENVIRONMENT_FACTS = ("version", "domain", "tags", "tools", "reward_range", "higher_is_better", "floor")


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the catalogue. `facts` are JSON and name no path; `readme` is searched, not shown."""

    kind: str
    name: str
    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    readme: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "summary": self.summary, **self.facts}


def items(kind: str, *, readmes: bool = False) -> Iterator[Item]:
    """Everything of one kind, sorted by name."""
    if kind == "model":
        from gym_mcp.models.spec import catalogue

        for model in catalogue():
            yield Item(kind, model["spec"], model["what"], {"needs": model["needs"]})
        return
    for entry in hub.entries(kind):
        readme = entry.path.parent / "README.md"
        text = readme.read_text(encoding="utf-8", errors="replace") if readmes and readme.is_file() else ""
        yield Item(kind, entry.name, entry.summary, _facts(entry), text)


def _facts(entry: hub.Entry) -> dict[str, Any]:
    if entry.kind == "benchmark":
        from gym_mcp.benchmarks import listed

        return listed(entry)
    if entry.kind != "environment":
        return {k: v for k, v in entry.facts.items() if k not in ("name", "kind", "description")}
    facts = {k: entry.facts[k] for k in ENVIRONMENT_FACTS if k in entry.facts}
    return {"domain": "other", "tools": [], **facts}


def _cell(value: Any) -> str:
    return str(len(value) or "") if isinstance(value, list) else str(value)


def _benchmark_cell(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@click.command("list")
@click.argument("kind", type=click.Choice(list(KINDS)))
@json_option
def list_command(kind: str, as_json: bool) -> None:
    """List what there is of one kind.

    Environments, benchmarks, harnesses and skills come from the hubs: the one that ships with gym-mcp, those in
    GYM_MCP_HUB, and --hub. Models are the specs that `-m` takes.

    \b
    Examples:
      gym-mcp list environments
      gym-mcp list models --json
      gym-mcp --hub ~/my_hub list benchmarks
    """
    found = list(items(KINDS[kind]))
    if as_json:
        emit_json([item.as_json() for item in found])
    elif not found:
        click.echo(f"no {kind} on the hubs (`gym-mcp --hub DIR list {kind}` adds one)", err=True)
    else:
        columns = COLUMNS[KINDS[kind]]
        cell = _benchmark_cell if kind == "benchmarks" else _cell
        rows = [
            (item.name, *(cell(item.facts.get(c, "")) for c in columns), item.summary)  # one row an item
            for item in found
        ]
        click.echo(table(("NAME", *(c.upper() for c in columns), "SUMMARY"), rows, limit=width()))


@click.command()
@click.argument("words", nargs=-1, required=True)
@json_option
def search(words: tuple[str, ...], as_json: bool) -> None:
    """Search environments, benchmarks, harnesses, models and skills.

    Every word must occur in the name, tags, domain, tools, summary or README, in any case; the best match comes
    first.

    \b
    Examples:
      gym-mcp search multi-turn
      gym-mcp search code python --json
    """
    wanted = [word.lower() for phrase in words for word in phrase.split()]
    ranked = [(score(item, wanted), item) for kind in KINDS.values() for item in items(kind, readmes=True)]
    found = [item for s, item in sorted(ranked, key=lambda pair: (-pair[0], pair[1].name)) if s > 0]
    if as_json:
        emit_json([item.as_json() for item in found])
    elif not found:
        click.echo(f"nothing has {' and '.join(wanted)}; fewer words find more (`gym-mcp list`)", err=True)
    else:
        rows = [(item.kind, item.name, item.summary) for item in found]
        click.echo(table(("KIND", "NAME", "SUMMARY"), rows, limit=width()))


def score(item: Item, words: list[str]) -> int:
    """How well an item fits: the weights of the best field that has each word, summed; 0 if one is absent."""
    facts = item.facts
    fields = (
        (8, item.name.replace("_", " ") + " " + item.name),
        (4, " ".join(map(str, (facts.get("domain", ""), facts.get("category", ""), *facts.get("tags", ()))))),
        (3, item.summary),
        (2, " ".join(map(str, facts.get("tools", ())))),
        (1, item.readme),
    )
    lowered = [(weight, text.lower()) for weight, text in fields]
    whole = re.split(r"[/?]", item.name.lower())  # `oracle` is all of `builtin/oracle`, part of `noisy-oracle`
    total = 0
    for word in words:
        best = max((weight for weight, text in lowered if word in text), default=0)
        if not best:
            return 0
        total += 2 * best if word in whole else best
    return total
