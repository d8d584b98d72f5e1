"""Writes `tasks.jsonl`: random expressions, and their values in the alternate universe."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Final

from gym_mcp.types import JSONObject
from tool_servers.math_advanced_calculations.universe import UNIVERSE

SEED: Final = 20250614
SHAPES: Final = ((1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3), (4, 1), (4, 2), (5, 1))
"""(depth, number of expressions) of each task."""
_SIGNS: Final = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**"}
_MAX: Final = 1e6


def expression(rng: random.Random, depth: int) -> tuple[str, float]:
    """An expression and its value there. Raises what `UNIVERSE` raises, and `ValueError` for a value too large."""
    if depth == 0:
        number = float(rng.randint(1, 12))
        return ("pi", UNIVERSE["pi"]()) if rng.random() < 0.1 else (str(number), number)
    name = rng.choice((*_SIGNS, "log", "sin", "cos", "negate"))
    count = 2 if name in _SIGNS or name == "log" else 1
    parts = [expression(rng, depth - 1 if i == 0 else rng.randint(0, depth - 1)) for i in range(count)]
    texts, values = [text for text, _ in parts], [value for _, value in parts]
    value = UNIVERSE[name](*values)
    if isinstance(value, complex) or not math.isfinite(value) or abs(value) > _MAX:
        raise ValueError("too large")
    if name in _SIGNS:
        return f"({texts[0]} {_SIGNS[name]} {texts[1]})", value
    return (f"(-{texts[0]})" if name == "negate" else f"{name}({', '.join(texts)})"), value


def valid_expression(rng: random.Random, depth: int) -> tuple[str, float]:
    """The first of a series of random expressions that has a moderate value."""
    while True:
        try:
            text, value = expression(rng, depth)
        except (ValueError, ZeroDivisionError, OverflowError):
            continue
        return text, value


def make_task(rng: random.Random, depth: int, count: int) -> JSONObject:
    """A request for the values of `count` expressions, the first of which has the full depth."""
    chosen = [valid_expression(rng, depth if i == 0 else rng.randint(1, depth)) for i in range(count)]
    texts = [text for text, _ in chosen]
    prompt = (
        "Arithmetic in this universe is not what you know. Work out the following with the tools alone, one call "
        "for each operation, and report the results:\n\n" + "\n".join(texts)
    )
    data = {"ground_truth": [value for _, value in chosen], "expressions": texts, "depth": depth, "breadth": count}
    return {"id": f"depth-{depth}-breadth-{count}", "prompt": prompt, "data": data}


def main() -> None:
    """Write the file beside this one."""
    rng = random.Random(SEED)
    with Path(__file__).with_name("tasks.jsonl").open("w", encoding="utf-8") as file:
        for depth, count in SHAPES:
            file.write(json.dumps(make_task(rng, depth, count)) + "\n")


if __name__ == "__main__":
    main()
