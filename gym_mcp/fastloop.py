"""The event loop of long runs: uvloop, and a garbage collector that leaves alone what is loaded."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end."""
    # What is loaded by now stays: looking through it again and again costs a tenth of a run's CPU.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        import uvloop
    except ImportError:  # no uvloop on Windows
        return asyncio.run(main)
    return uvloop.run(main)
