"""Virtual environments of the examples, made once for each list of requirements and kept between test runs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tests.support import missing

INSTALL_SECONDS = 420.0


def cache() -> Path:
    """`GYM_MCP_TEST_VENVS`, else a folder of the user's cache."""
    named = os.environ.get("GYM_MCP_TEST_VENVS")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else base / "gym-mcp" / "test-venvs"


def python_for(requirements: Path) -> Path:
    """The interpreter of an environment that holds `requirements`; skips the test (fails in CI) without one."""
    text = requirements.read_text(encoding="utf-8")
    key = hashlib.blake2b(f"{sys.version} {text}".encode(), digest_size=8).hexdigest()
    folder = cache() / f"{requirements.parent.name}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:  # several test processes share the cache
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(folder, requirements)
            (folder / "complete").touch()
    return folder / "bin" / "python"


def _install(folder: Path, requirements: Path) -> None:
    venv.create(folder, with_pip=False)
    python = str(folder / "bin" / "python")
    command = [sys.executable, "-m", "uv", "pip", "install", "-q", "--python", python, "-r", str(requirements)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        missing(f"{requirements}: not installed within {INSTALL_SECONDS:g} s")
    if done.returncode:
        missing(f"{requirements}: cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
