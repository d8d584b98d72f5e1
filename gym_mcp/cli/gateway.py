"""`gym-mcp gateway`: any model behind the APIs that agents speak."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gym_mcp.errors import UsageError

if TYPE_CHECKING:
    from gym_mcp.gateway import GatewaySession
    from gym_mcp.models.base import Model

KEY: Final = "GYM_MCP_GATEWAY_KEY"
_EPILOG = """\b
Examples:
  gym-mcp gateway -m openai-chat/Qwen/Qwen3-8B --base-url http://127.0.0.1:8000/v1
  gym-mcp gateway -m anthropic/claude-sonnet-5 --log calls.jsonl

\b
Then, in another terminal, with the addresses and the key that were printed:
  ANTHROPIC_BASE_URL=... ANTHROPIC_API_KEY=... claude
  OPENAI_BASE_URL=... OPENAI_API_KEY=... qwen
Codex takes them as a provider; docs/gateway.md has the lines.

The key is a new one for each run, or the value of GYM_MCP_GATEWAY_KEY. The model's own key stays here."""


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("-m", "--model", required=True, metavar="SPEC", help="The model to serve (`gym-mcp list models`).")
@click.option("--base-url", metavar="URL", help="The model's endpoint.")
@click.option("--set", "settings", multiple=True, metavar="sampling.KEY=VALUE", help="For each model call.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    metavar="N",
    help="Listen there, on 127.0.0.1.  [default: a free one]",
)
@click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Append every call to this JSONL file, each message once.",
)
@click.option(
    "--model-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    metavar="SECONDS",
    help="Seconds for one try of a model call.  [default: 600]",
)
def gateway(**options: Any) -> None:
    """Serve a model as OpenAI Responses, Chat Completions, Anthropic Messages and Gemini, on this machine.

    For agents that bring their own loop: point Claude Code or Codex at any model. Runs until interrupted.
    """
    from gym_mcp.models.keys import variables
    from gym_mcp.models.spec import make_model

    key = variables().get(KEY, "")
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise UsageError(f"{KEY}: printable ASCII characters without blanks are expected")
    model = make_model(
        options["model"],
        base_url=options["base_url"],
        params=_sampling(options["settings"]),
        timeout=options["model_timeout"],
    )
    asyncio.run(_serve(model, key or None, options))


def _sampling(pairs: tuple[str, ...]) -> dict[str, Any]:
    from gym_mcp.coordinator.config import parse_overrides

    settings = parse_overrides(pairs)
    if set(settings) - {"sampling"} or not isinstance(settings.get("sampling", {}), dict):
        raise UsageError("--set: sampling.KEY=VALUE is expected, e.g. --set sampling.temperature=0")
    sampling: dict[str, Any] = settings.get("sampling", {})
    return sampling


async def _serve(model: Model, key: str | None, options: dict[str, Any]) -> None:
    from gym_mcp.gateway import Gateway
    from gym_mcp.gateway.log import CallLog

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(model.aclose)
        log = CallLog(options["log"]) if options["log"] else None
        if log is not None:
            stack.callback(log.close)
        listener = await stack.enter_async_context(Gateway(port=options["port"]))
        session = listener.open(model, keep_going=True, key=key, log=log)
        _announce(session, from_environment=key is not None)
        await stop.wait()


def _announce(session: GatewaySession, *, from_environment: bool) -> None:
    base = session.base_url
    click.echo(f"Anthropic  {base}")
    click.echo(f"OpenAI     {base}/v1")
    click.echo(f"Gemini     {base}")
    click.echo(f"key        {f'from {KEY}' if from_environment else session.key}")
