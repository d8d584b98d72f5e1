"""Which option letter a reply to a multiple-choice question states, and under which rule it was read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from verifiers.patterns import TooSlow, find

Mode: TypeAlias = Literal[
    "strict_single_letter_boxed", "lenient_boxed", "lenient_answer_colon", "lenient_answer_colon_md"
]
Box: TypeAlias = Literal["first", "last"]

_BRACES: Final = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)
_WRAPPER: Final = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|boxed)\s*\{([^{}]*)\}")
_BARE_LETTER: Final = re.compile(r"[\W\d_]*([A-Z])[\W\d_]*")
_LABEL: Final = re.compile(r"\s*([A-Z])\s*[:).;-]")
_ANSWER: Final = re.compile(r"answer\s*:\s*([^\n]*)", re.IGNORECASE)
_ANSWER_MD: Final = re.compile(r"answer[\s*_`]*:\s*([^\n]*)", re.IGNORECASE)
_MD_LETTER: Final = re.compile(r"[\W_]*([A-Za-z])(?![A-Za-z0-9_])(.*)", re.DOTALL)
_NEXT_LETTER: Final = re.compile(r"[\W_]*(?:(?:or|and)\b[\W_]*)?([A-Za-z])(?![A-Za-z0-9_])")
_MAX_WRAPPERS: Final = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """The letter that was read (upper case) and by which rule; or None and why there is none."""

    letter: str | None
    note: str


def extract_choice(
    text: str,
    options: Mapping[str, str],
    mode: Mode = "strict_single_letter_boxed",
    *,
    box: Box = "first",
    patterns: Sequence[str] = (),
) -> Choice:
    """Read the chosen letter from `text`.

    `options` maps upper-case letters to option texts. `patterns` are regular expressions tried before `mode`, in
    order: case-insensitive, the last match counts, and a single letter is believed even if no option has it.
    `box` decides between two published readings of boxes. `first`: the first `\\boxed{}` that holds one capital
    letter and no other letters. `last`: the last closed `\\boxed{}` alone, where a leading label (`C: some text`)
    counts too. Never raises on any text; invalid `patterns` raise `re.error`.
    """
    for pattern in patterns:
        try:
            letter = by_pattern(text, pattern, options)
        except TooSlow as e:
            return Choice(None, f"output_regex: {e}")
        if letter is not None:
            return Choice(letter, f"{letter} by output_regex")
    if mode in ("strict_single_letter_boxed", "lenient_boxed"):
        return _by_box(text, options, lenient=mode == "lenient_boxed", box=box)
    if mode == "lenient_answer_colon":
        return _by_answer(text, options)
    return _by_answer_md(text, options)


def boxes(text: str) -> list[str]:
    """Contents of the closed `\\boxed{...}`, braces balanced, in order; one inside another is part of it."""
    open_braces: list[tuple[int, bool]] = []
    found: list[tuple[int, int]] = []
    for token in _BRACES.finditer(text):
        mark = token.group()
        if mark == "}":
            if open_braces:
                start, is_box = open_braces.pop()
                if is_box:
                    while found and found[-1][0] > start:
                        found.pop()
                    found.append((start, token.start()))
        elif mark == "{" or mark.startswith("\\boxed"):
            open_braces.append((token.end(), mark != "{"))
    return [text[start:end] for start, end in found]


def unwrap(text: str) -> str:
    """`text` without `\\text{}`-like wrappers and outer white space."""
    for _ in range(_MAX_WRAPPERS):
        text, count = _WRAPPER.subn(r"\1", text)
        if not count:
            break
    return text.strip()


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()


def _named(text: str, options: Mapping[str, str]) -> str | None:
    """The one letter whose option text equals `text`."""
    wanted = _fold(text)
    letters = [letter for letter, option in options.items() if wanted and _fold(option) == wanted]
    return letters[0] if len(letters) == 1 else None


def by_pattern(text: str, pattern: str, options: Mapping[str, str]) -> str | None:
    """The letter that the last match of `pattern` states, case folded, or the one whose option text it is.

    A single letter is believed even if no option has it. Raises `re.error` for an invalid pattern, or `TooSlow`.
    """
    last = find(pattern, text, "last", re.IGNORECASE)
    if last is None:
        return None
    value = unwrap(last.captured)
    if len(value) == 1 and value.isascii() and value.isalpha():
        return value.upper()
    return _named(value, options)


def _by_box(text: str, options: Mapping[str, str], *, lenient: bool, box: Box) -> Choice:
    found = boxes(text)
    if not found:
        return Choice(None, "no closed \\boxed{}")
    for content in found[-1:] if box == "last" else found:
        inner = unwrap(content)
        letter = _letter(inner, options, labels=box == "last")
        if letter is not None:
            if letter in options:
                return Choice(letter, f"{letter} in a box")
            if not lenient:
                return Choice(None, f"the box says {letter}, which is no option")
        if lenient and (letter := _contained(inner, options)) is not None:
            return Choice(letter, f"{letter} by its text in a box")
    return Choice(None, "no box holds a single option" if lenient else "no box holds a single capital letter")


def _letter(inner: str, options: Mapping[str, str], *, labels: bool) -> str | None:
    if bare := _BARE_LETTER.fullmatch(inner):
        return bare.group(1)
    if not labels or _named(inner, options) is not None:  # `E. coli` may be an option of its own
        return None
    label = _LABEL.match(inner)
    return label.group(1) if label else None


def _contained(inner: str, options: Mapping[str, str]) -> str | None:
    """The one letter whose option text occurs in `inner`, case and white space folded."""
    folded = _fold(inner)
    letters = [letter for letter, option in options.items() if (o := _fold(option)) and o in folded]
    return letters[0] if len(letters) == 1 else None


def _by_answer(text: str, options: Mapping[str, str]) -> Choice:
    match = _ANSWER.search(text)
    if match is None:
        return Choice(None, "no `Answer:`")
    letter = _payload(match.group(1), options)
    return Choice(letter, f"{letter} after `Answer:`" if letter else "the first `Answer:` names no single option")


def _payload(payload: str, options: Mapping[str, str]) -> str | None:
    inner = unwrap(payload)
    named = _named(inner, options)
    if named is not None:
        return named
    letter = inner.strip(" \t.,;:!*_`$()[]{}\"'").upper()
    return letter if letter in options else None


def _by_answer_md(text: str, options: Mapping[str, str]) -> Choice:
    seen = False
    for payload in _payloads_backwards(text):
        seen = True
        letter = _payload(payload, options) or _payload_md(unwrap(payload), options)
        if letter is not None:
            return Choice(letter, f"{letter} after the last readable `Answer:`")
    return Choice(None, "no `Answer:` names a single option" if seen else "no `Answer:`")


def _payloads_backwards(text: str) -> Iterator[str]:
    yield from reversed([match.group(1) for match in _ANSWER_MD.finditer(text)])


def _payload_md(payload: str, options: Mapping[str, str]) -> str | None:
    match = _MD_LETTER.match(payload)
    if match is None:
        return None
    letter, rest = match.group(1).upper(), match.group(2)
    following = _NEXT_LETTER.match(rest)
    if following and following.group(1).upper() != letter and following.group(1).upper() in options:
        return None
    if letter in "AI" and rest[:1].isspace() and rest.lstrip()[:1].isalpha():  # the words "a" and "I"
        return None
    return letter if letter in options else None
