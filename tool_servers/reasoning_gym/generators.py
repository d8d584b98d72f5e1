"""The generators of reasoning-gym: their names, the rows they make, and answers that the package itself gives."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from gym_mcp.errors import UsageError
from gym_mcp.suggest import did_you_mean
from gym_mcp.types import JSONObject

INSTALL: Final = "reasoning_gym needs the package reasoning-gym: pip install 'gym-mcp[reasoning-gym]'"
SECONDS: Final = 600.0
"""That making the rows of a run may take."""
UNANSWERED: Final = ("boxnet", "composite", "rush_hour")
"""Generators that state no answer of their own anywhere in their rows."""
DEFAULT: Final = (
    "ab base_conversion basic_arithmetic bf binary_alternation chain_sum count_bits family_relationships "
    "gcd graph_color knights_knaves letter_counting mini_sudoku n_queens number_sorting propositional_logic "
    "shortest_path simple_equations spiral_matrix tower_of_hanoi word_sorting zebra_puzzles"
)


def require() -> None:
    """`UsageError` when the package is not installed."""
    if importlib.util.find_spec("reasoning_gym") is None:
        raise UsageError(INSTALL)


def names() -> tuple[str, ...]:
    """All generators, sorted. The first use takes about three seconds."""
    return tuple(_ask(json.dumps(_request([], 0, 0, {})))["names"])


def rows(dataset: str, size: int, seed: int, config: Mapping[str, Any]) -> list[JSONObject]:
    """`size` rows, dealt out evenly over the generators; the same arguments give the same rows.

    `dataset`: a generator, several with commas, `all`, or nothing for a mix. Raises `UsageError`.
    """
    wanted = [name.strip() for name in dataset.split(",")] if dataset else DEFAULT.split()
    answer = _ask(json.dumps(_request(wanted, size, seed, config)))
    if "unknown" in answer:
        name = answer["unknown"]
        raise UsageError(f"reasoning_gym: no dataset `{name}`{did_you_mean(name, answer['names'])}")
    if "error" in answer:
        raise UsageError(f"reasoning_gym: {answer['error']}")
    return [dict(row) for row in answer["rows"]]


def _request(wanted: list[str], size: int, seed: int, config: Mapping[str, Any]) -> JSONObject:
    return {"datasets": wanted, "size": size, "seed": seed, "config": dict(config), "without": UNANSWERED}


@lru_cache(maxsize=32)
def _ask(request: str) -> JSONObject:
    """What the child process makes. The package stays out of this one: it is large, and some of it prints."""
    require()
    command = [sys.executable, "-P", "-W", "ignore", str(Path(__file__).with_name("maker.py"))]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            command, input=request.encode(), env=environment, capture_output=True, timeout=SECONDS, check=True
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"reasoning_gym: the rows were not made in {SECONDS:g} s; ask for fewer") from None
    except subprocess.CalledProcessError as e:
        last = e.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise UsageError(f"reasoning_gym: the rows cannot be made: {''.join(last)}") from None
    answer: JSONObject = json.loads(done.stdout)
    return answer


def answer_of(entry: JSONObject) -> str | None:
    """The package's own answer to a question, from wherever its generator puts it."""
    metadata = entry["metadata"]
    match metadata["source_dataset"]:
        case "graph_color":
            return json.dumps(metadata["possible_answer"])
        case "propositional_logic":
            return str(metadata["example_answer"])
        case "rubiks_cube":
            return str(metadata["example_correct_answer"])
        case _:
            return None if entry["answer"] is None else str(entry["answer"])
