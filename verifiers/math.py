"""Whether a mathematical answer equals the gold one: math-verify, in a child process that can be killed.

math-verify (Apache-2.0, the extra `math`) reads LaTeX and plain expressions and compares with sympy, which may
hang on a hostile or merely large expression.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from verifiers.choice import boxes, unwrap
from verifiers.workers import WorkerDied, WorkerTimeout, pool_of

Form: TypeAlias = Literal["auto", "reply", "answer"]

WORKER: Final = Path(__file__).with_name("math_worker.py")
TIMEOUT: Final = 10.0
"""Seconds that one comparison may take."""
MAX_CHARS: Final = 400_000
"""A longer reply is read from this many characters before its end."""
MAX_ANSWER_CHARS: Final = 2_000
"""A longer text is never taken for a bare answer."""

_DELIMITERS: Final = (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("$", "$"))
_MARKED: Final = re.compile(r"\\boxed\b|\\\(|\\\[|\$[^$]+\$|\n|(?i:\banswer\b)")
_POWER_OF_TEN: Final = re.compile(r"(?<![\w.\\])([-+]?\d+(?:\.\d*)?)[eE]([-+]?\d+)(?![\w.])")
_WORD_SYMBOLS: Final = re.compile(r"(?<![\\A-Za-z])(pi|infinity|infty|oo)(?![A-Za-z])")
_IDLE_SPACE: Final = re.compile(r"(?<!\w)\s+|\s+(?!\w)")
_LABEL: Final = re.compile(r"\((\w+)\)")
_WORDS: Final = re.compile(r"[^\W\d_]{2,}(?: [^\W\d_]+)*")
_PLAIN: Final = {
    "\u2212": "-",
    "\u2013": "-",
    "\u00d7": "\\times ",
    "\u00b7": "\\cdot ",
    "\u03c0": "\\pi ",
    "\u221e": "\\infty ",
    "\u2264": "\\le ",
    "\u2265": "\\ge ",
    "\u2260": "\\ne ",
    "\u222a": "\\cup ",
    "\u2205": "\\emptyset ",
    "\u00b0": "^\\circ ",
    "\\varnothing": "\\emptyset ",
    "**": "^",
}


@dataclass(frozen=True, slots=True)
class MathResult:
    """1.0 if the answer equals the gold one, else 0.0; why; and the answer as it was read, if any was."""

    score: float
    note: str
    extracted: str | None


def verify_math(answer: str, gold: str, *, form: Form = "auto", timeout: float = TIMEOUT) -> MathResult:
    """Compare `answer` with `gold`, an expression in LaTeX or plain notation, delimited or boxed or bare.

    `form` says what `answer` is. `reply`: a text that holds the answer somewhere; math-verify finds it (boxes,
    LaTeX between delimiters, "the answer is ...", else the last number), which is the published rule of
    math_with_judge. `answer`: the answer alone (a box's content, say): all of it counts, so `2\\sqrt{2}` is not
    read as 2; percentages may lack their sign, an interval may be an inequality, words are compared as words.
    `auto`: a reply if it has several lines, a box, delimiters or the word "answer"; a bare answer otherwise.

    `timeout` is in seconds from when a worker takes the request; the first use waits longer, until the worker has
    started (about 2 s). What cannot be read or takes too long scores 0.0 with a note. Raises
    `ModuleNotFoundError` when math-verify is not installed: another rule would give other scores.
    """
    early, request = _prepare(answer, gold, form, timeout)
    if early is not None:
        return early
    try:
        return _result(pool_of(WORKER).ask(request, timeout=timeout))
    except (WorkerTimeout, WorkerDied) as e:
        return MathResult(0.0, f"could not be compared: {e}", None)


async def verify_math_async(
    answer: str, gold: str, *, form: Form = "auto", timeout: float = TIMEOUT
) -> MathResult:
    """`verify_math` without blocking the event loop."""
    early, request = _prepare(answer, gold, form, timeout)
    if early is not None:
        return early
    try:
        return _result(await pool_of(WORKER).ask_async(request, timeout=timeout))
    except (WorkerTimeout, WorkerDied) as e:
        return MathResult(0.0, f"could not be compared: {e}", None)


@functools.cache
def require_math() -> None:
    """Raise `ModuleNotFoundError`, saying what to install, when math-verify is absent."""
    if importlib.util.find_spec("math_verify") is None:
        raise ModuleNotFoundError("math answers need math-verify: pip install 'gym-mcp[math]'")


def strip_delimiters(text: str) -> str:
    """`text` without outer white space and one pair of LaTeX delimiters (`$`, `\\(`, `\\[`) around all of it."""
    text = text.strip()
    for left, right in _DELIMITERS:
        if len(text) >= len(left) + len(right) and text.startswith(left) and text.endswith(right):
            inner = text[len(left) : -len(right)]
            if left not in inner and right not in inner:
                return inner.strip()
    return text


def _prepare(answer: str, gold: str, form: Form, timeout: float) -> tuple[MathResult | None, dict[str, Any]]:
    """A result that needs no mathematics, or the worker's request."""
    require_math()
    gold = _bare(gold)
    if not gold:
        return MathResult(0.0, "the gold answer is empty", None), {}
    if not answer.strip():
        return MathResult(0.0, "empty answer", None), {}
    if form == "auto":
        form = "reply" if len(answer) > MAX_ANSWER_CHARS or _MARKED.search(answer) else "answer"
    if form == "reply":
        golds, answers = [f"\\boxed{{{gold}}}"], [answer[-MAX_CHARS:]]
    else:
        answer = _bare(answer[-MAX_CHARS:])
        if _folded(answer) == _folded(gold):
            return MathResult(1.0, "the same text", answer), {}
        golds, answers = _readings(gold), _readings(answer)
        if gold.endswith("%") and answer.endswith("%"):
            golds, answers = golds[:1], answers[:1]
    relations = form == "answer"
    return None, {"golds": golds, "answers": answers, "relations": relations, "seconds": timeout}


def _bare(text: str) -> str:
    """The last box's content or the text itself, without delimiters around it."""
    found = boxes(text)
    return strip_delimiters(found[-1] if found else text)


def _readings(text: str) -> list[str]:
    """Boxed forms of a bare answer: as it stands, and a percentage without its sign."""
    text = text.strip().strip("`").strip("*").strip()
    if len(text) > 1:
        text = text.rstrip(".;,")
    for mark, latex in _PLAIN.items():
        text = text.replace(mark, latex)
    text = _POWER_OF_TEN.sub(r"\1 \\times 10^{\2}", text)
    text = _WORD_SYMBOLS.sub(lambda m: "\\pi " if m.group() == "pi" else "\\infty ", text)
    forms = [text]
    if text.endswith("%"):
        forms.append(text[:-1].rstrip("\\ "))
    return [f"\\boxed{{{form}}}" for form in forms]


def _folded(text: str) -> str:
    """The text without wrappers, parentheses around a single word, idle white space, and the case of words."""
    text = _IDLE_SPACE.sub("", unwrap(text).rstrip("."))
    text = " ".join(text.split())
    if word := _LABEL.fullmatch(text):
        text = word.group(1)
    return text.casefold() if _WORDS.fullmatch(text) else text


def _result(reply: dict[str, Any]) -> MathResult:
    return MathResult(1.0 if reply["equal"] else 0.0, reply["note"], reply["extracted"])
