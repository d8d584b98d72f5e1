"""The option letter of a reply whose last word counts: the last box, else the last `Answer: X`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from verifiers.choice import Choice, boxes, by_pattern, unwrap
from verifiers.patterns import TooSlow

_STANDALONE: Final = re.compile(r"(?<![A-Za-z0-9_])[A-Z](?![A-Za-z0-9_])")
_ANSWER: Final = re.compile(r"answer[\s*_`]*:[\s*_`$(\[{]*(?:\\[a-z]+\{\s*)?([A-Z])(?![A-Za-z0-9])", re.IGNORECASE)


def extract_last_choice(text: str, options: Mapping[str, str], *, patterns: Sequence[str] = ()) -> Choice:
    """Read the chosen letter from `text`, as GPQA Diamond is graded.

    `patterns` first, in order, as `by_pattern` reads them. Then the last closed box: its one capital letter, else
    the last capital letter in it that stands alone. If it holds none, or there is no box: the last `Answer: X`,
    with or without markdown, brackets or LaTeX around, in either case. The letter must be an option's. Never
    raises on any text; invalid `patterns` raise `re.error`.
    """
    for pattern in patterns:
        try:
            letter = by_pattern(text, pattern, options)
        except TooSlow as e:
            return Choice(None, f"output_regex: {e}")
        if letter is not None:
            return _checked(letter, options, "output_regex")
    found = boxes(text)
    if found:
        letters = _STANDALONE.findall(unwrap(found[-1]))
        if letters:
            return _checked(letters[-1], options, "the last box")
    answers = _ANSWER.findall(text)
    if answers:
        return _checked(answers[-1].upper(), options, "the last `Answer:`")
    return Choice(None, "no box holds a capital letter and no `Answer:` states one")


def _checked(letter: str, options: Mapping[str, str], where: str) -> Choice:
    if letter in options:
        return Choice(letter, f"{letter} in {where}")
    return Choice(None, f"{where} says {letter}, which is no option")
