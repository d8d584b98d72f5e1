"""Starts the background server of an environment, or finds the one that runs."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from gym_mcp import hub
from gym_mcp.connect.control import Refusal
from gym_mcp.connect.daemon import READY
from gym_mcp.connect.state import Home, homes
from gym_mcp.errors import GymError, UsageError
from gym_mcp.types import JSONObject

START_SECONDS: Final = 90.0


def ensure(home: Home, job: JSONObject | None = None) -> bool:
    """Have the server of `home` running; whether it had to be started. `job` says what it serves.

    Without a `job` it is started as it was last time. Two commands at once start one server.
    """
    home.make()
    with home.starting():
        if home.is_running():
            return False
        if job is not None:
            home.write(home.job_file, job)
        try:
            _start(home)
        except GymError:
            if not home.seats:
                home.forget()  # what never ran is in no list
            raise
        return True


def _start(home: Home) -> None:
    environ = os.environ | {"GYM_MCP_HUB": os.pathsep.join(map(str, hub.roots()))}
    process = subprocess.Popen(
        [sys.executable, "-m", "gym_mcp.connect.daemon", str(home.path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ,
        cwd=_folder(home),
        start_new_session=True,  # a closed terminal does not end it
    )
    assert process.stdout is not None
    try:
        line = _first_line(process.stdout.fileno())
    finally:
        process.stdout.close()
    if line != READY:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        raise (UsageError if line else Refusal)(line or f"the server did not start; see {home.log_file}")
    process.returncode = 0  # it lives on: it is not ours to wait for


def _folder(home: Home) -> Path:
    """Where `connect` was run: settings may be relative paths."""
    folder = Path(home.read(home.job_file).get("cwd", "/nowhere"))
    return folder if folder.is_dir() else home.path


def _first_line(descriptor: int) -> str:
    """What the server says once it answers, or why it does not; empty when it says nothing in time."""
    deadline = time.monotonic() + START_SECONDS
    text = b""
    while not text.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return ""
        part = os.read(descriptor, 4_096)
        if not part:
            return ""
        text += part
    return text.decode("utf-8", "replace").strip()


def home_of_url(url: str) -> Home | None:
    """The server that a seat's URL belongs to, running or not."""
    for home in homes():
        if any(f"/seats/{seat.get('handle')}/mcp" in url for seat in home.seats.values()):
            return home
    return None
