"""`npx -y PACKAGE@VERSION` without npx: the package is installed once, and each episode starts node alone.

npx takes a second and a half of CPU and wall time to find out what it has; node starts in a fifth of that.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gym_mcp.errors import EnvironmentFailure

_PINNED: Final = re.compile(r"(?P<name>(?:@[a-z0-9._-]+/)?[a-z0-9._-]+)@(?P<version>\d+\.\d+\.\d+[a-z0-9.+-]*)")
_INSTALL_SECONDS: Final = 300


def cache() -> Path:
    """`$XDG_CACHE_HOME/gym-mcp/npm`; the cache folder is `~/.cache` by default."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gym-mcp" / "npm"


async def resolved(command: Sequence[str]) -> list[str]:
    """`command` itself, or what it runs in the end: `npx -y` of an exact version becomes `node FILE`."""
    match = _PINNED.fullmatch(command[2]) if list(command[:2]) == ["npx", "-y"] and len(command) > 2 else None
    if match is None:
        return list(command)
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise EnvironmentFailure(f"`{program}` is not installed, which {command[2]} needs: install Node.js")
    file = _entry(match["name"], match["version"])
    if file is None:
        file = await asyncio.to_thread(_install, match["name"], match["version"])
    return ["node", str(file), *command[3:]]


def _folder(name: str, version: str) -> Path:
    return cache() / f"{name.replace('/', '+')}@{version}"


def _entry(name: str, version: str) -> Path | None:
    """The program of an installed package; None when it is not installed whole."""
    folder = _folder(name, version) / "node_modules" / name
    with contextlib.suppress(OSError, ValueError, AttributeError):
        program = json.loads((folder / "package.json").read_bytes())["bin"]
        file = folder / (program if isinstance(program, str) else next(iter(program.values())))
        return file if file.is_file() else None
    return None


def _install(name: str, version: str) -> Path:
    """Install a package into a folder that appears whole or not at all; two processes at once do it once."""
    folder = _folder(name, version)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f"{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file = _entry(name, version)
        if file is not None:
            return file
        scratch = folder.with_name(f"{folder.name}.tmp")
        for stale in (scratch, folder):
            shutil.rmtree(stale, ignore_errors=True)
        scratch.mkdir()
        command = ["npm", "install", "--no-fund", "--no-audit", "--prefix", str(scratch), f"{name}@{version}"]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_INSTALL_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise EnvironmentFailure(f"npm install {name}@{version}: not done in {_INSTALL_SECONDS} s") from None
        if done.returncode != 0:
            last = " ".join(done.stderr.split())[-300:]
            raise EnvironmentFailure(f"npm install {name}@{version} failed: {last}")
        scratch.rename(folder)
    file = _entry(name, version)
    if file is None:
        raise EnvironmentFailure(f"the npm package {name}@{version} has no program of its own: name its file")
    return file
