"""What the operations are in the alternate universe; the order of the float operations is part of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

UNIVERSE: Final[Mapping[str, Callable[..., Any]]] = {
    "add": lambda a, b: a + b + 1.2,
    "subtract": lambda a, b: a - b - 3,
    "multiply": lambda a, b: 1.1 * a * b,
    "divide": lambda a, b: 0.5 * a / b,
    "power": lambda a, b: a ** (b + 2),
    "log": lambda a, base: math.log(a, abs(base + 1.5)),
    "sin": math.cos,
    "cos": math.sin,
    "pi": lambda: math.e,
    "negate": lambda a: a,
    "return_constant": lambda a: a,
}
"""Functions of floats by tool name. They raise `ValueError`, `ZeroDivisionError` or `OverflowError`; a power of a
negative number may be complex."""
