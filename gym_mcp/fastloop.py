"""The event loop of long runs: uvloop, and a garbage collector that leaves alone what is loaded."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")
THRESHOLDS: Final = (10_000, 20, 50)
"""Objects of a collection: a hundred thousand, of thousands of live episodes, would stop the loop for 0.2 s."""


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
