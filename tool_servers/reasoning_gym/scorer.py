"""The child process that scores an answer, by the reasoning-gym generator that made the question.

It is loaded by `verifiers/worker_child.py`. Several of the package's scorers evaluate the answer's text as Python;
here they may read literals and arithmetic only, and one that hangs or grows dies with the child.
"""

from __future__ import annotations

import ast
import importlib
import json
import math
import re
import sys
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, Final

GRIDS: Final = ("arc_agi", "rearc")
"""Generators whose scorer compares tuples, which JSON does not have."""
FUNCTIONS: Final = frozenset(
    "sin cos tan cot sec csc asin acos atan acot sinh cosh tanh asinh acosh atanh exp log ln sqrt Abs abs "
    "Integer Float Rational Symbol".split()
)
_ARITHMETIC: Final = re.compile(r"[\w\s+\-*/^().,!]*")
_INTEGERS: Final = re.compile(r"(?:0x[0-9a-f]++|\d{1,30}+(?!\d)|[-\s()+*&|^~]|<<|>>){1,2000}", re.IGNORECASE)
_CALLED: Final = re.compile(r"([A-Za-z_]\w*|\))\s*\(")
_ATTRIBUTE: Final = re.compile(r"[A-Za-z_)]\s*\.|\.\s*[A-Za-z_]|__")
_datasets: dict[str, Any] = {}


def arithmetic_only(text: str) -> None:
    """Raise `ValueError` for text that is more than numbers, names, operators and elementary functions."""
    called = [name for name in _CALLED.findall(text) if name not in FUNCTIONS]
    if called or not _ARITHMETIC.fullmatch(text) or _ATTRIBUTE.search(text):
        raise ValueError("not arithmetic")


def _guarded(parse: Callable[..., Any]) -> Callable[..., Any]:
    def parse_expr(text: Any, *args: Any, **kwargs: Any) -> Any:
        arithmetic_only(str(text))
        return parse(text, *args, **kwargs)

    return parse_expr


def _value(text: Any) -> Any:
    """A Python literal, or integer arithmetic (which bitwise_arithmetic computes of its own question)."""
    if isinstance(text, str) and _INTEGERS.fullmatch(text) and "**" not in text:
        return eval(text, {"__builtins__": {}})
    return ast.literal_eval(text)


def _refused(*args: Any, **kwargs: Any) -> Any:
    raise ValueError("no code is run here")


@cache
def load() -> Any:
    """The package, with its ways to run an answer's text as code replaced."""
    sympy: Any = importlib.import_module("sympy")
    parser: Any = importlib.import_module("sympy.parsing.sympy_parser")
    sympy.parse_expr = parser.parse_expr = _guarded(parser.parse_expr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = importlib.import_module("reasoning_gym")
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "reasoning_gym":
            module.eval, module.exec = _value, _refused  # type: ignore[attr-defined]
    return package


def prepare() -> None:
    """Import the package."""
    load()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Score and note for one answer; whatever the scorer raises is worth 0, as the published rule has it."""
    entry = request["entry"]
    name = entry["metadata"]["source_dataset"]
    key = json.dumps([name, request["config"]], sort_keys=True)
    if key not in _datasets:
        _datasets[key] = load().create_dataset(name, **request["config"])
    if name in GRIDS and isinstance(entry["metadata"].get("output"), list):
        entry["metadata"]["output"] = tuple(tuple(row) for row in entry["metadata"]["output"])
    try:
        value = float(_datasets[key].score_answer(request["answer"], entry))
    except BaseException as e:
        return {"score": 0.0, "note": f"the scorer of {name} raised {type(e).__name__}"}
    if not math.isfinite(value):
        return {"score": 0.0, "note": f"the scorer of {name} returned {value}"}
    return {"score": min(max(value, 0.0), 1.0), "note": ""}
