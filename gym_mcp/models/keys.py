"""Where API keys come from: the environment, or a `.env` file in the current directory. Never a flag."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gym_mcp.errors import UsageError

_LINE: Final = re.compile(
    r"""^\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*
        (?: '(?P<single>[^']*)' | "(?P<double>(?:[^"\\]|\\.)*)" | (?P<bare>.*?) )
        (?:\s+\#.*)?\s*$""",
    re.VERBOSE,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}
REQUIRED: Final = "OPENAI_API_KEY"
ANYWHERE: Final = "GYM_MCP_API_KEY"


def parse_dotenv(text: str) -> dict[str, str]:
    """Variables of a `.env` file: `[export] NAME=VALUE` a line, `#` comments, 'literal' or "escaped" quotes."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        if match["double"] is not None:
            value = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), match["double"])
        else:
            value = match["single"] if match["single"] is not None else match["bare"]
        values[match["name"]] = "" if value.startswith("#") and match["bare"] is not None else value
    return values


def variables(environ: Mapping[str, str] | None = None, directory: Path | None = None) -> dict[str, str]:
    """The environment over the `.env` file of `directory` (the current one); empty values count as absent."""
    path = (directory or Path()) / ".env"
    try:
        found = parse_dotenv(path.read_text(encoding="utf-8-sig")) if path.is_file() else {}
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"{path}: cannot be read: {type(e).__name__}") from None
    found.update((k, v) for k, v in (os.environ if environ is None else environ).items() if v)
    return {k: v for k, v in found.items() if v}


def find_key(
    *,
    own_endpoint: bool,
    name: str = REQUIRED,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> str:
    """The API key, or nothing where none is needed.

    The provider itself (`own_endpoint` False) takes its variable `name` and cannot do without; another endpoint
    gets `GYM_MCP_API_KEY`, else `name`, if there is one. `UsageError` names what is missing.
    """
    known = variables(environ, directory)
    for variable in (ANYWHERE, name) if own_endpoint else (name,):
        key = known.get(variable, "").strip()
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            raise UsageError(
                f"{variable}: it holds characters that no API key has (blanks, quotes of another alphabet)"
            )
        if key:
            return key
    if own_endpoint:
        return ""
    raise UsageError(
        f"no {name}: set it in the environment or in .env, or name another endpoint with --base-url; "
        "builtin/* models need no key (`gym-mcp list models`)"
    )
