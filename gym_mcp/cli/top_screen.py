"""`gym-mcp top RUN` on a terminal: the state of the run, redrawn, and single keys that steer it."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gym_mcp.cli.top_view import view
from gym_mcp.observe.control import NotRunning, ask
from gym_mcp.types import JSONObject

KEYS: Final = "p pause   r resume   c cancel   + - concurrency   q quit (the run goes on)"
_CONFIRM: Final = "cancel the run? y finishes what is in flight, any other key goes back"


class Screen:
    """Redraws every `interval` seconds and after every key."""

    def __init__(self, run_dir: Path, interval: float) -> None:
        self._run_dir = run_dir
        self._interval = interval
        self._said = ""
        self._cancelling = False
        self._concurrency = 1

    def run(self) -> bool:
        """Show the run until it ends (true) or the person leaves (false)."""
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._status() is None:
            return True
        with _single_keys(), Live(console=Console(), screen=True, auto_refresh=False) as live:
            while (status := self._status()) is not None:
                self._concurrency = status["concurrency"]
                foot = _CONFIRM if self._cancelling else KEYS
                live.update(Text(f"{view(status)}\n\n{self._said}\n{foot}", overflow="fold"), refresh=True)
                with contextlib.suppress(KeyboardInterrupt):
                    if self._heed(_key(self._interval)):
                        continue
                return False
        return True

    def _status(self) -> JSONObject | None:
        try:
            status: JSONObject = ask(self._run_dir, {"do": "status"})["status"]
        except NotRunning:
            return None
        return status

    def _heed(self, key: str) -> bool:
        """Do what a key asks for; whether to go on."""
        if self._cancelling and key:
            self._cancelling = False
            if key == "y":
                self._ask({"do": "cancel"})
        elif key == "q":
            return False
        elif key == "p":
            self._ask({"do": "pause"})
        elif key == "r":
            self._ask({"do": "resume"})
        elif key == "c":
            self._cancelling = True
        elif key in ("+", "-"):
            step = max(1, self._concurrency // 4)
            self._ask({"do": "set", "concurrency": max(1, self._concurrency + (step if key == "+" else -step))})
        return True

    def _ask(self, request: JSONObject) -> None:
        with contextlib.suppress(NotRunning):  # the next look says so
            answer = ask(self._run_dir, request)
            self._said = answer.get("done") or answer.get("error", "")
            time.sleep(0.25)  # a snapshot is up to 0.2 s old


@contextlib.contextmanager
def _single_keys() -> Iterator[None]:
    """Keys come one by one and are not shown."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _key(seconds: float) -> str:
    """The next key within so many seconds; nothing when none came. `q` when the terminal is gone."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    if not ready:
        return ""
    return os.read(sys.stdin.fileno(), 1).decode("latin-1") or "q"
