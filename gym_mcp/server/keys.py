"""The operator key: generated, kept in a file that only its owner reads, never printed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from gym_mcp.errors import UsageError

VARIABLE: Final = "GYM_MCP_OPERATOR_KEY"
FILE_VARIABLE: Final = "GYM_MCP_OPERATOR_KEY_FILE"
_SHORTEST: Final = 16


def default_key_file(port: int) -> Path:
    """`$XDG_STATE_HOME/gym-mcp/operator-<port>.key`; the state folder is `~/.local/state` by default."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "gym-mcp" / f"operator-{port}.key"


def server_key(file: Path) -> tuple[str, Path | None]:
    """(key, its file) for a server: from the environment (no file then), else kept in or made into `file`."""
    given = os.environ.get(VARIABLE)
    if given:
        return _checked(given, VARIABLE), None
    if file.exists():
        return read_key(file), file
    key = secrets.token_urlsafe(32)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as e:
        raise UsageError(f"operator key file {file}: {e.strerror}") from None
    with os.fdopen(descriptor, "w") as out:
        out.write(key + "\n")
    return key, file


def read_key(file: Path) -> str:
    """The key in a file; refused when others than its owner may read it."""
    try:
        mode = file.stat().st_mode
        key = file.read_text(encoding="utf-8").strip()
    except OSError as e:
        raise UsageError(f"operator key file {file}: {e.strerror}") from None
    if mode & 0o077:
        raise UsageError(f"operator key file {file}: others may read it; `chmod 600` it, or delete it")
    return _checked(key, str(file))


def client_key(port: int | None) -> str:
    """The key for a client that was given none: from the environment, or the file of a server on this machine."""
    given = os.environ.get(VARIABLE)
    if given:
        return _checked(given, VARIABLE)
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return read_key(Path(named))
    file = None if port is None else default_key_file(port)
    if file is not None and file.exists():
        return read_key(file)
    looked = f"{VARIABLE}, {FILE_VARIABLE}" + (f" and {file}" if file else "")
    raise UsageError(f"no operator key for the server: looked in {looked}")


def _checked(key: str, where: str) -> str:
    if len(key) < _SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"{where}: an operator key is at least {_SHORTEST} printable ASCII characters, no spaces")
    return key
