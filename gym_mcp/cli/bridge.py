"""`gym-mcp tools|call`: an episode's tools from a shell. `gym_mcp.agents.bridge` does the work."""

from __future__ import annotations

import click

_RAW = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(
    "tools", epilog="\b\nExample:\n  GYM_MCP_URL=http://127.0.0.1:8765/counter/episodes/HANDLE/mcp gym-mcp tools"
)
@click.argument("url", required=False)
@click.pass_context
def tools(ctx: click.Context, url: str | None) -> None:
    """List the tools of the episode at URL, which is taken from GYM_MCP_URL when it is left out."""
    from gym_mcp.agents.bridge import main

    ctx.exit(main(["tools", *([url] if url else [])]))


@click.command(
    "call",
    context_settings=_RAW,
    epilog="""\b
Examples:
  gym-mcp call add --amount 2
  gym-mcp call http://127.0.0.1:8765/counter/episodes/HANDLE/mcp add '{"amount": 2}'

Exit codes: 0 done, 1 the tool answered with an error, 2 wrong usage or no answer.""",
)
@click.argument("words", nargs=-1, metavar="[URL] TOOL [--KEY VALUE ... | JSON]", type=click.UNPROCESSED)
@click.pass_context
def call(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Call a tool of the episode at URL, which is taken from GYM_MCP_URL when it is left out."""
    from gym_mcp.agents.bridge import main

    ctx.exit(main(["call", *words]))
