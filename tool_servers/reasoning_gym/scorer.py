"""The child process that scores: one answer a line, by the reasoning-gym generator that made the question.

It is run as a script. Several of the package's scorers evaluate the answer's text as Python; here they may read
literals and arithmetic only, and one that hangs or grows dies with this process.
"""

from __future__ import annotations

import ast
import importlib
import json
import logging
import math
import os
import queue
import re
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any, BinaryIO, Final

MEMORY: Final = 4 * 1024**3
"""Bytes of address space."""
GRIDS: Final = ("arc_agi", "rearc")
"""Generators whose scorer compares tuples, which JSON does not have."""
FUNCTIONS: Final = frozenset(
    "sin cos tan cot sec csc asin acos atan acot sinh cosh tanh asinh acosh atanh exp log ln sqrt Abs abs "
    "Integer Float Rational Symbol".split()
)
_ARITHMETIC: Final = re.compile(r"[\w\s+\-*/^().,!]*")
_INTEGERS: Final = re.compile(r"(?:0x[0-9a-f]+|\d{1,30}|[-\s()+*&|^~]|<<|>>){1,2000}", re.IGNORECASE)
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


def score(package: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Score and note for one answer; whatever the scorer raises is worth 0, as the published rule has it."""
    entry = request["entry"]
    name = entry["metadata"]["source_dataset"]
    key = json.dumps([name, request["config"]], sort_keys=True)
    if key not in _datasets:
        _datasets[key] = package.create_dataset(name, **request["config"])
    if name in GRIDS and isinstance(entry["metadata"].get("output"), list):
        entry["metadata"]["output"] = tuple(tuple(row) for row in entry["metadata"]["output"])
    try:
        value = float(_datasets[key].score_answer(request["answer"], entry))
    except BaseException as e:
        return {"score": 0.0, "note": f"the scorer of {name} raised {type(e).__name__}"}
    if not math.isfinite(value):
        return {"score": 0.0, "note": f"the scorer of {name} returned {value}"}
    return {"score": min(max(value, 0.0), 1.0), "note": ""}


def _read(source: BinaryIO, lines: queue.Queue[bytes]) -> None:
    for line in source:
        lines.put(line)
    os._exit(0)  # the parent is gone, whatever is being computed


def main() -> None:
    """Answer lines from stdin on stdout until stdin ends; libraries print to nowhere."""
    out = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    logging.disable(logging.CRITICAL)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass
    package = load()
    out.write(b"{}\n")
    out.flush()
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, lines), daemon=True).start()
    while True:
        out.write(json.dumps(score(package, json.loads(lines.get()))).encode() + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
