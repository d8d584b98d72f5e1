"""The child process of `verifiers.math`: compares one answer with its gold, by math-verify.

It is loaded by `worker_child.py`, never by what it serves: sympy may hang, grow or crash, and only the child dies.
"""

from __future__ import annotations

import signal
from typing import Any


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


def prepare() -> None:
    """Import math-verify and build its parsers."""
    compare(["\\boxed{1/2}"], ["$\\frac{1}{2}$"], False)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The reply to one request; every failure is a note."""
    # math-verify's own limits raise from a signal handler and do not end a single long operation in C: a timer
    # whose signal is deadly ends this process even when nobody is left to kill it.
    signal.setitimer(signal.ITIMER_VIRTUAL, 2 * request["seconds"])
    try:
        return compare(request["golds"], request["answers"], request["relations"])
    except BaseException as e:  # sympy raises RecursionError, MemoryError and what else a text can provoke
        return {"equal": False, "extracted": None, "note": f"could not be compared: {type(e).__name__}"}
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
