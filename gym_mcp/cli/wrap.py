"""`gym-mcp wrap`: any MCP server as an environment."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gym_mcp.cli.common import emit_json, json_option
from gym_mcp.errors import UsageError

if TYPE_CHECKING:
    from gym_mcp.wrapped.scaffold import Wrapping

_LAUNCHER = re.compile(r"npx|uvx?|run|node|docker|python[\d.]*")
_EPILOG = """\b
Examples:
  gym-mcp wrap --list -- npx -y @modelcontextprotocol/server-memory@2026.8.31
  gym-mcp wrap --out files -- npx -y @modelcontextprotocol/server-filesystem@2026.8.31 {workdir}
  gym-mcp wrap --verifier check.py --tasks tasks.jsonl --out notes --env MEMORY_FILE_PATH={workdir}/m.jsonl -- CMD
  gym-mcp wrap --verifier check.py --tasks tasks.jsonl -- CMD          serves it at once, writes nothing

{workdir} stands for a directory that each episode has to itself; the agent sees it as /workdir. A package with an
exact version is installed once and started without npx, which saves a second and a half an episode."""


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("command", nargs=-1, metavar="-- COMMAND...")
@click.option(
    "--verifier", type=click.Path(path_type=Path), metavar="FILE", help="Has verify(episode, transcript)."
)
@click.option("--tasks", type=click.Path(path_type=Path), metavar="FILE.jsonl", help="The tasks.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write the environment here.")
@click.option("--name", metavar="NAME", help="What the environment is called (default: from DIR or the command).")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="A variable for the server.")
@click.option("--inherit", multiple=True, metavar="NAME", help="A variable of yours that the server gets.")
@click.option("--hide", "hidden", multiple=True, metavar="TOOL", help="A tool that agents do not get.")
@click.option("--list", "listing", is_flag=True, help="Start the server once and list its tools.")
@click.option("--http", metavar="HOST:PORT", help="Without --out: listen here (default 127.0.0.1:8765).")
@json_option
def wrap(command: tuple[str, ...], **options: Any) -> None:
    """Make an environment of any MCP server that speaks over stdio.

    Each episode has a server process and a directory of its own. The server's tools are the agent's tools; every
    call is in the ledger; the verifier reads the ledger and the directory.
    """
    wrapping = _wrapping(command, options).checked()
    if options["listing"]:
        return _list(wrapping, options["as_json"])
    if options["out"] is not None:
        return _write(wrapping, options["out"], options["as_json"])
    if wrapping.verifier is None or wrapping.tasks is None:
        raise UsageError("wrap: give --verifier and --tasks to serve it, --out DIR to write it, or --list to look")
    _serve(wrapping, options["http"])


def _wrapping(command: tuple[str, ...], options: dict[str, Any]) -> Wrapping:
    from gym_mcp.wrapped.scaffold import Wrapping

    env = {}
    for pair in options["variables"]:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageError(f"--env {pair}: NAME=VALUE is expected")
        if re.search(r"(^|_)(key|token|secret|password)(_|$)", key, re.IGNORECASE):
            raise UsageError(
                f"--env {key}: a secret does not belong into a file: set it, and give --inherit {key}"
            )
        env[key] = value
    name = options["name"] or (options["out"].name if options["out"] is not None else _name_of(command))
    return Wrapping(
        name,
        command,
        options["verifier"],
        options["tasks"],
        env,
        options["inherit"],
        options["hidden"],
    )


def _name_of(command: tuple[str, ...]) -> str:
    """A name from the word of a command that says most: its package or program."""
    words = [w for w in command if w[:1] not in ("-", "{") and not _LAUNCHER.fullmatch(w.rpartition("/")[2])]
    last = re.sub(r"(?<=.)@.*", "", words[0] if words else "wrapped").rpartition("/")[2]
    return re.sub(r"[^a-z0-9]+", "_", last.lower()).strip("_") or "wrapped"


def _list(wrapping: Wrapping, as_json: bool) -> None:
    from gym_mcp.wrapped.scaffold import probe

    tools = probe(wrapping)
    if as_json:
        return emit_json([{"name": t.name, "description": t.description, "schema": t.input_schema} for t in tools])
    for spec in tools:
        click.echo(f"{spec.name}\n    {spec.description.strip().split(chr(10), 1)[0]}")


def _write(wrapping: Wrapping, folder: Path, as_json: bool) -> None:
    from gym_mcp.wrapped.scaffold import probe, write

    tools = probe(wrapping)  # a command that does not work is told before anything is written
    write(wrapping, folder)
    if as_json:
        return emit_json({"folder": str(folder), "tools": [spec.name for spec in tools]})
    spec = shlex.quote(str(folder / "server.py"))
    click.echo(f"wrote {folder}/, with {len(tools)} tools of the server; next:")
    click.echo(f"  gym-mcp env test {spec}")
    click.echo(f"  gym-mcp eval run -e {spec} -m SPEC")


def _serve(wrapping: Wrapping, http: str | None) -> None:
    from gym_mcp.cli.serve import serve
    from gym_mcp.wrapped.scaffold import scratch, write

    parent = scratch()
    try:
        write(wrapping, parent / wrapping.name)
        address = ["--http", http] if http else []
        serve.main([str(parent / wrapping.name / "server.py"), *address], standalone_mode=False)
    finally:
        shutil.rmtree(parent, ignore_errors=True)
