"""Real programs from npm for tests, installed once into a cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_INSTALL_SECONDS: Final = 300


class Unavailable(Exception):
    """The programs cannot be had here; says why."""


def cache(name: str) -> Path:
    """`$XDG_CACHE_HOME/gym-mcp/NAME`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gym-mcp" / name


def search_path(folder: Path) -> str:
    """`PATH` with the programs of `folder` in front."""
    return f"{folder / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}"


def install(folder: Path, packages: Sequence[str]) -> None:
    """Install `packages` into `folder`, one after the other, unless they are there; `Unavailable` says why not."""
    marker = folder / "installed.json"
    if marker.exists() and json.loads(marker.read_text()) == list(packages):
        return
    if shutil.which("npm") is None:
        raise Unavailable("npm is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        command = ["npm", "install", "--no-fund", "--no-audit", "--prefix", str(folder), package]
        done = subprocess.run(
            command,
            env={**os.environ, "PATH": search_path(folder)},
            timeout=_INSTALL_SECONDS,
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise Unavailable(f"npm install {package}: {done.stderr[-300:]}")
    marker.write_text(json.dumps(list(packages)))
