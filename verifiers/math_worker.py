"""The child process of `verifiers.math`: compares one answer with its gold a line, by math-verify.

It is run as a script, never imported by what it serves: sympy may hang, grow or crash, and only this dies.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
from typing import Any, BinaryIO, Final

MEMORY: Final = 4 * 1024**3
"""Bytes of address space."""


def compare(golds: list[str], answers: list[str], relations: bool) -> dict[str, Any]:
    """Whether any of `answers` equals any of `golds`, and how the first readable answer was read.

    `relations`: an interval may be given as an inequality.
    """
    from math_verify import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
        ExprExtractionConfig,
        LatexExtractionConfig,
        parse,
        verify,
    )

    expected = [parse(gold, (LatexExtractionConfig(),)) for gold in golds]
    expected = [gold for gold in expected if gold]
    if not expected:
        return {"equal": False, "extracted": None, "note": "the gold answer cannot be read as mathematics"}
    extracted = None
    for answer in answers:
        found = parse(answer, (ExprExtractionConfig(), LatexExtractionConfig()))
        extracted = extracted or _written(found)
        for gold in expected:
            if verify(gold, found, allow_set_relation_comp=relations):
                matched = [one for one in found if verify(gold, one, allow_set_relation_comp=relations)]
                return {"equal": True, "extracted": _written(matched) or extracted, "note": "equal"}
    return {"equal": False, "extracted": extracted, "note": "not equal" if extracted else "no answer found"}


def _written(found: list[Any]) -> str | None:
    return str(found[0])[:10_000] if found else None


def answer(line: bytes) -> dict[str, Any]:
    """The reply to one request; every failure is a note."""
    request = json.loads(line)
    # math-verify's own limits raise from a signal handler and do not end a single long operation in C: a timer
    # whose signal is deadly ends this process even when nobody is left to kill it.
    signal.setitimer(signal.ITIMER_VIRTUAL, 2 * request["seconds"])
    try:
        return compare(request["golds"], request["answers"], request["relations"])
    except BaseException as e:  # sympy raises RecursionError, MemoryError and what else a text can provoke
        return {"equal": False, "extracted": None, "note": f"could not be compared: {type(e).__name__}"}
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


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
    compare(["\\boxed{1/2}"], ["$\\frac{1}{2}$"], False)  # imports and builds the parsers
    out.write(b"{}\n")
    out.flush()
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, lines), daemon=True).start()
    while True:
        out.write(json.dumps(answer(lines.get())).encode() + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
