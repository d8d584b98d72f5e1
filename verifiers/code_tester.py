"""The other sandbox of unit tests: runs the tests; the functions they call live in the candidate's sandbox.

Arguments and results cross by value. So a candidate can neither see a test nor touch the `assert` that judges it.
Results go to descriptor 5, one line a test: `ok`, or what went wrong.
"""

from __future__ import annotations

import builtins
import os

import code_values  # type: ignore[import-not-found]  # laid out beside this file in the sandbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TextIO


class Candidate:
    """The candidate's functions, called over a pair of pipes."""

    def __init__(self, requests: TextIO, replies: TextIO) -> None:
        self.requests = requests
        self.replies = replies

    def ask(self, request: dict[str, Any]) -> Any:
        """The value of a request; raises what the candidate raised."""
        self.requests.write(code_values.dumps(request) + "\n")
        self.requests.flush()
        line = self.replies.readline()
        if not line.endswith("\n"):
            raise EOFError("the program has ended")
        reply = code_values.loads(line)
        if isinstance(reply, dict) and "ok" in reply:
            return reply["ok"]
        kind = getattr(builtins, str(reply["raised"]), RuntimeError)
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            kind = RuntimeError
        raise _made(kind, str(reply["text"]))

    def function(self, name: str) -> Callable[..., Any]:
        """The candidate's function `name`."""

        def call(*args: Any, **kwargs: Any) -> Any:
            return self.ask({"call": name, "args": list(args), "kwargs": kwargs})

        call.__name__ = name
        return call


def _made(kind: type[Exception], text: str) -> Exception:
    try:
        return kind(text)
    except TypeError:  # UnicodeDecodeError and the like want more than a text
        return RuntimeError(f"{kind.__name__}: {text}")


def main() -> None:
    """Run each test of `tests.json` in a namespace that has the candidate's functions."""
    with open("tests.json", encoding="utf-8") as file:
        plan = code_values.loads(file.read())
    candidate = Candidate(os.fdopen(3, "w", encoding="utf-8"), open(4, encoding="utf-8"))
    results = os.fdopen(5, "w", encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "tests", "__builtins__": builtins}
    setup = ""
    try:
        exec(compile(plan["setup"], "setup", "exec", dont_inherit=True), namespace)
        for name in candidate.ask({}):  # what tests rely on must not come from the candidate
            if str(name) not in namespace and not hasattr(builtins, str(name)):
                namespace[str(name)] = candidate.function(str(name))
        if plan["entry_point"]:
            namespace["candidate"] = candidate.function(plan["entry_point"])
            namespace[plan["entry_point"]] = namespace["candidate"]
    except BaseException as e:
        setup = _named(e)
    for test in plan["tests"]:
        outcome = setup or _run(test, namespace)
        results.write(outcome.replace("\n", " ") + "\n")
        results.flush()


def _run(test: str, namespace: dict[str, Any]) -> str:
    try:
        exec(compile(test, "test", "exec", dont_inherit=True), namespace)
    except BaseException as e:
        return _named(e)
    return "ok"


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]


if __name__ == "__main__":
    main()
