"""The event loop of long runs: uvloop, and a garbage collector that leaves alone what is loaded."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")
THRESHOLDS: Final = (2_000, 3, 500)
"""New objects of a collection, and how often it goes further. A pass stops the loop for 0.3 us an object, and an
episode leaves no cycle behind: so few objects at a time, and all of them (0.2 s with thousands of live episodes)
hardly ever."""


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end."""
    # What is loaded by now stays: looking through it again and again costs a tenth of a run's CPU.
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        import uvloop
    except ImportError:  # no uvloop on Windows
        return asyncio.run(main)
    return uvloop.run(main)
