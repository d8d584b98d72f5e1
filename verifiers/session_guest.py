"""The sandbox's side of a Python session: runs one cell after the other in the same namespace.

Cells come as JSON lines on descriptor 3; when one is done, its id and the value of its last expression go to 4.
"""

from __future__ import annotations

import ast
import json
import linecache
import os
import sys
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_REPR = 20_000


def run_cell(code: str, name: str, namespace: dict[str, Any]) -> str | None:
    """Run a cell; the repr of its last expression, if it ends in one that is not None."""
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    tree = ast.parse(code, name)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        exec(compile(tree, name, "exec", dont_inherit=True), namespace)
        return None
    tree.body.pop()
    exec(compile(tree, name, "exec", dont_inherit=True), namespace)
    value = eval(compile(ast.Expression(last.value), name, "eval", dont_inherit=True), namespace)
    return None if value is None else repr(value)[:_MAX_REPR]


def _report(error: BaseException) -> None:
    """The traceback, from the cell's own frames on."""
    own = error.__traceback__
    while own is not None and not own.tb_frame.f_code.co_filename.startswith("<cell"):
        own = own.tb_next
    traceback.print_exception(type(error), error, own, limit=-20)


def main() -> None:
    """Run cells until there are no more."""
    cells, done = open(3, encoding="utf-8"), os.fdopen(4, "w", encoding="utf-8")
    namespace: dict[str, Any] = sys.modules["__main__"].__dict__.copy()
    for name in ("run_cell", "_report", "main", "TYPE_CHECKING", "_MAX_REPR", "ast", "json", "linecache", "os"):
        namespace.pop(name, None)
    for number, line in enumerate(cells, 1):
        cell = json.loads(line)
        result = None
        try:
            result = run_cell(cell["code"], f"<cell {number}>", namespace)
        except SystemExit as e:
            sys.stderr.write(f"SystemExit: {e}\n")
        except BaseException as e:
            _report(e)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                continue
        done.write(json.dumps({"id": cell["id"], "result": result}) + "\n")
        done.flush()


if __name__ == "__main__":
    main()
