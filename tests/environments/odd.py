"""An environment whose tool has parameters that other frameworks keep for themselves."""

from __future__ import annotations

from typing import Any

from gym_mcp import Environment, Transcript, tool


class Odd(Environment[Any]):
    """Join three words."""

    @tool
    def odd(self, config: str, run_manager: str, callbacks: str) -> str:
        """Join three words."""
        return config + run_manager + callbacks

    def verify(self, transcript: Transcript) -> float:
        return 1.0
