"""The sandbox's side of call-based grading: holds the candidate program and calls its functions on request.

Requests come as lines on descriptor 3, replies go to descriptor 4. No test and no expected value ever comes here,
so there is nothing in this process that a candidate could read or forge: a reply is its answer, however made.
"""

from __future__ import annotations

import os
import sys

import code_values  # type: ignore[import-not-found]  # laid out beside this file in the sandbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def load(prelude: str, source: str) -> dict[str, Any]:
    """The candidate's namespace; it is imported, not run as the main program."""
    module = type(sys)("candidate")
    sys.modules["candidate"] = module
    exec(compile(prelude, "prelude", "exec", dont_inherit=True), module.__dict__)
    exec(compile(source, "program.py", "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def find(namespace: dict[str, Any], name: str) -> Any:
    """A function by name: a method of `Solution` if there is such a class, else a function of the module."""
    solution = namespace.get("Solution")
    if isinstance(solution, type) and hasattr(solution, name):
        return getattr(solution(), name)
    return namespace[name]


def answer(namespace: dict[str, Any], found: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """The reply to one request: the value, or the name and text of what was raised."""
    try:
        if "call" not in request:
            return {"ok": sorted(k for k, v in namespace.items() if callable(v) and not k.startswith("__"))}
        name = request["call"]
        if name not in found:
            found[name] = find(namespace, name)
        return {"ok": found[name](*request["args"], **request["kwargs"])}
    except BaseException as e:
        kinds = [kind.__name__ for kind in type(e).__mro__ if kind.__module__ == "builtins"]
        return {"raised": kinds[0], "text": str(e)[:500]}


def serve() -> None:
    """Answer requests until there are no more."""
    requests, replies = open(3, encoding="utf-8"), os.fdopen(4, "w", encoding="utf-8")
    with open("candidate.py", encoding="utf-8", errors="surrogatepass") as file:
        source = file.read()
    with open("prelude.py", encoding="utf-8") as file:
        prelude = file.read()
    namespace: dict[str, Any] = {}
    failed: dict[str, Any] | None = None
    try:
        namespace = load(prelude, source)
    except BaseException as e:
        failed = {"raised": type(e).__name__, "text": str(e)[:500]}
    found: dict[str, Any] = {}
    for line in requests:
        reply = failed or answer(namespace, found, code_values.loads(line))
        try:
            text = code_values.dumps(reply)
        except BaseException as e:
            text = code_values.dumps({"raised": type(e).__name__, "text": "the result cannot be passed on"})
        replies.write(text + "\n")
        replies.flush()


if __name__ == "__main__":
    serve()
