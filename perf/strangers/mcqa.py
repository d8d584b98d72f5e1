"""`mcqa`, with faults."""

from __future__ import annotations

from typing import Any

from gym_mcp.hub import load_environment
from perf.strangers.faulty import Faulty

Base: Any = load_environment("mcqa")


class Mcqa(Faulty, Base):  # type: ignore[misc]
    """Answer a multiple-choice question with its option letter."""

    class Options(Base.Options):  # type: ignore[misc]
        fault: str = ""
