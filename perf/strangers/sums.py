"""`math_with_judge`, with faults."""

from __future__ import annotations

from typing import Any

from gym_mcp.hub import load_environment
from perf.strangers.faulty import Faulty

Base: Any = load_environment("math_with_judge")


class Math(Faulty, Base):  # type: ignore[misc]
    """Answer a mathematical question."""

    class Options(Base.Options):  # type: ignore[misc]
        fault: str = ""
