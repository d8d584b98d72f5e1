"""Puts a server into a client's configuration file: everything else in it stays, whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gym_mcp.connect import jsonc
from gym_mcp.errors import UsageError

OURS: Final = re.compile(r"http://127\.0\.0\.1:\d+/[^/]+/seats/[^/]+/mcp")
"""The URL of a seat, by which an entry of an earlier `connect` is known."""


def merge_json(path: Path, keys: Sequence[str], entry: Mapping[str, Any], fresh: Mapping[str, Any]) -> None:
    """Set the server `keys[-1]` of a JSON file (comments allowed) to `entry`; other keys of it are kept.

    `fresh` is what a new file holds besides. Raises `UsageError` for a file that cannot be read or merged, and
    for an entry of that name which is not ours.
    """
    before = _read(path)
    text = json.dumps(fresh, indent=2) + "\n" if before is None or not before.strip() else before
    try:
        root = jsonc.parse(text).value
        old = _reach(root, keys)
        _check_ours(path, keys[-1], old)
        after = text
        if isinstance(old, dict):
            for key, value in entry.items():
                after = jsonc.set_member(after, [*keys, key], value)
        else:
            after = jsonc.set_member(text, keys, entry)
        wanted = _with(root, keys, {**(old or {}), **entry})
        if jsonc.parse(after).value != wanted:
            raise jsonc.NotJSON("its layout is beyond a safe edit")
    except jsonc.NotJSON as e:
        raise UsageError(f"{path}: not changed: {e}; mend it, or use --print and add the server by hand") from None
    replace(path, before, after)


def _reach(root: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        root = root.get(key) if isinstance(root, dict) else None
    return root


def _with(root: Any, keys: Sequence[str], value: Any) -> Any:
    if not keys:
        return value
    inside = root.get(keys[0], {}) if isinstance(root, dict) else {}
    return {**(root if isinstance(root, dict) else {}), keys[0]: _with(inside, keys[1:], value)}


def _check_ours(path: Path, name: str, old: Any) -> None:
    if old is not None and not (isinstance(old, dict) and OURS.search(json.dumps(old))):
        raise UsageError(f"{path}: has another server `{name}` already, which is kept: give --name for this one")


def merge_toml(path: Path, table: str, name: str, url: str) -> None:
    """Set `url` of the table `[TABLE.NAME]` of a TOML file; everything else is kept. `UsageError` as above."""
    before = _read(path)
    text = before or ""
    old = _parse_toml(path, text)
    servers = old.get(table, {})
    known = servers.get(name) if isinstance(servers, dict) else None
    _check_ours(path, name, known)
    line = f'url = "{url}"'
    if known is None:
        gap = "" if not text.strip() else "\n" if text.endswith("\n") else "\n\n"
        after = f"{text}{gap}[{table}.{_toml_key(name)}]\n{line}\n"
    else:
        after = re.sub(rf'(?m)^(\s*)url\s*=\s*"{re.escape(str(known.get("url")))}"', rf"\g<1>{line}", text)
    wanted = {**old, table: {**servers, name: {**(known or {}), "url": url}}} if isinstance(servers, dict) else {}
    with contextlib.suppress(tomllib.TOMLDecodeError):
        if tomllib.loads(after) == wanted:
            return replace(path, before, after)
    raise UsageError(f"{path}: not changed: its layout is beyond a safe edit; use --print and add it by hand")


def _parse_toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise UsageError(f"{path}: not changed: {e}; mend it, or use --print and add the server by hand") from None


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"{path}: not changed: {e}") from None


def replace(path: Path, before: str | None, after: str) -> None:
    """Write `after` in one step where `before` still stands; a new file is its owner's alone, an old one keeps
    its mode, and a link is followed."""
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, scratch = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                if before is not None:
                    os.fchmod(file.fileno(), target.stat().st_mode & 0o777)
                file.write(after.encode())
                file.flush()
                os.fsync(file.fileno())
            if _read(target) != before:
                raise UsageError(f"{path}: not changed: something else changed it meanwhile; try again")
            os.replace(scratch, target)
        finally:
            Path(scratch).unlink(missing_ok=True)
    except OSError as e:
        raise UsageError(f"{path}: not changed: {e.strerror}") from None
