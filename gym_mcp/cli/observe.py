"""The flags of `eval run|resume` that have a run watched: metrics and spans."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gym_mcp.cli.common import parse_address

if TYPE_CHECKING:
    from gym_mcp.observe.observed import Observe

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = (
    click.option("--metrics", metavar="HOST:PORT", help="Serve metrics for Prometheus; port 0: any free one."),
    click.option(
        "--otel", metavar="URL|FILE.jsonl", help="OpenTelemetry spans; `env`: to where its variables say."
    ),
    click.option("--otel-content", is_flag=True, help="With --otel: prompts, answers and tool results, too."),
)


def observe_options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def observe_of(metrics: str | None, otel: str | None, content: bool, *, ray: str | None = None) -> Observe:
    """What the flags ask for, checked before anything starts; says where metrics are served."""
    from gym_mcp.errors import UsageError
    from gym_mcp.observe.observed import Observe

    if content and otel is None:
        raise UsageError("--otel-content: it belongs to --otel")
    address = None if metrics is None else parse_address(metrics, "--metrics")
    settings = None
    if otel is not None:
        from gym_mcp.observe.export import OtelSettings

        settings = OtelSettings.of(otel, content=content)
        if ray is not None and settings.is_file:
            raise UsageError("--otel: the nodes of a cluster write to no file of this machine; give a URL")
    if address is None:
        return Observe(otel=settings)
    from gym_mcp.observe.prometheus import listening, url_of

    sock = listening(*address, "--metrics")
    click.echo(f"metrics: {url_of(sock)}", err=True)
    return Observe(sock, settings)
