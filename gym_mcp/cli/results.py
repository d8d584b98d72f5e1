"""`gym-mcp results serve`: finished runs as an MCP server."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from gym_mcp.cli.common import emit_json, parse_address


@click.group()
def results() -> None:
    """Look into finished runs."""


@results.command(
    "serve",
    epilog="""\b
Examples:
  gym-mcp results serve runs/office                     over stdio
  gym-mcp results serve runs/new runs/old --http 127.0.0.1:8770
  claude mcp add results -- gym-mcp results serve $PWD/runs/office

Over HTTP the path holds a key, which is printed with the URL; GYM_MCP_RESULTS_KEY sets it.""",
)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--http", metavar="HOST:PORT", help="Listen here instead of stdio (port 0 takes a free one).")
def serve_command(runs: tuple[Path, ...], http: str | None) -> None:
    """Serve RUNS, and nothing else, to an agent that explains them. Nothing is written."""
    from gym_mcp.results.server import serve_http, serve_stdio

    if http is None:
        asyncio.run(serve_stdio(runs))
        return
    host, port = parse_address(http, "--http")
    key = os.environ.get("GYM_MCP_RESULTS_KEY") or None
    asyncio.run(serve_http(runs, host=host, port=port, key=key, ready=lambda url: emit_json({"url": url})))
