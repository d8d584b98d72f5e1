"""What several commands share: plain tables, JSON output, and `--set` options."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from gym_mcp.errors import UsageError

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, for scripts.")

set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="env.KEY=VALUE",
    help="Set an option of the environment. Repeatable.",
)


def emit_json(value: Any) -> None:
    """Print one JSON value on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def width() -> int | None:
    """Columns of the terminal on stdout; None when it is a pipe or a file, which get whole lines."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, limit: int | None = None) -> str:
    """Rows under aligned headers, two spaces apart; lines longer than `limit` end in an ellipsis."""
    lines = [tuple(headers), *map(tuple, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    out = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join(shorten(line, limit) for line in out)


def shorten(line: str, limit: int | None) -> str:
    """`line`, cut to `limit` characters with an ellipsis."""
    return line if limit is None or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def parse_price(text: str, flag: str = "--price") -> tuple[float, float]:
    """`IN,OUT`: US dollars per million input and output tokens."""
    try:
        into, out = map(float, text.split(","))
    except ValueError:
        raise UsageError(f"{flag} {text}: IN,OUT is expected, e.g. {flag} 0.25,2") from None
    return into, out


def parse_address(text: str, flag: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`; loopback where the host is left out."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise UsageError(f"{flag} {text}: expected HOST:PORT, e.g. 127.0.0.1:8765")
    return host.strip("[]") or "127.0.0.1", int(port)


def parse_settings(pairs: Iterable[str], scope: str = "env") -> dict[str, str]:
    """`--set env.KEY=VALUE` flags as a dict of KEY to VALUE; `UsageError` for anything else."""
    settings: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        owner, dot, name = key.partition(".")
        if not (equals and dot and name) or owner != scope:
            raise UsageError(f"--set {pair}: expected {scope}.KEY=VALUE")
        settings[name] = value
    return settings
