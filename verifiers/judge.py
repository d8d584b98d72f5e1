"""The two ends of asking a judge model: the prompt, from a file, and the verdict, from the reply.

Asking is the environment's part. Prompts decide scores: `Prompt.digest` names the version that was used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from verifiers.extract import Which, label, number
from verifiers.normalise import as_number

EQUAL: Final = "[[A=B]]"
NOT_EQUAL: Final = "[[A!=B]]"
_FIELD: Final = re.compile(r"\{(\w+)\}")
_BUILT_IN: Final = Path(__file__).with_name("prompts")


@dataclass(frozen=True)
class Prompt:
    """A text with fields such as `{question}`; other braces are plain text."""

    text: str

    @classmethod
    def named(cls, name: str | Path) -> Prompt:
        """`verifiers/prompts/NAME.txt`, or the file of a path. Raises `OSError` when it cannot be read."""
        path = name if isinstance(name, Path) else _BUILT_IN / f"{name}.txt"
        return cls(path.read_text(encoding="utf-8"))

    @cached_property
    def digest(self) -> str:
        """The first 12 hex digits of the text's SHA-256."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    @cached_property
    def fields(self) -> frozenset[str]:
        """Names of the fields."""
        return frozenset(_FIELD.findall(self.text))

    def fill(self, **values: str) -> str:
        """The text with its fields replaced; text that comes in is never read as a field. Extra values are fine.

        Raises `KeyError` for a field without a value.
        """
        return _FIELD.sub(lambda field: values[field.group(1)], self.text)


def checked_prompt(name: str | Path, *, fields: Collection[str]) -> str | Path:
    """The name of a built-in prompt, or the path of a `.txt` file: one that asks for nothing but `fields`.

    Raises `ValueError` for any other.
    """
    named = Path(name) if str(name).endswith(".txt") else str(name)
    try:
        wanted = Prompt.named(named).fields
    except OSError as e:
        raise ValueError(f"no prompt {name}: {e.strerror}") from None
    except ValueError as e:
        raise ValueError(f"{name} is no prompt: {e}") from None
    if unknown := wanted - set(fields):
        raise ValueError(f"{name} asks for {{{min(unknown)}}}; there are {', '.join(sorted(fields))}")
    return named


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the judge said yes; None when its reply says neither. `label` is what was read."""

    equal: bool | None
    label: str | None


def equality(
    reply: str,
    *,
    which: Which = "first",
    equal: str = EQUAL,
    not_equal: str = NOT_EQUAL,
    ignore_case: bool = False,
) -> Verdict:
    """The verdict of a reply that states one of two labels; `which` decides when it states both."""
    found = label(reply, (equal, not_equal), which, ignore_case=ignore_case)
    return Verdict(None if found is None else found == equal, found)


def grade(reply: str, grades: Sequence[str], *, which: Which = "first", ignore_case: bool = False) -> str | None:
    """The grade that a reply states as a word of its own (`A`, `CORRECT`), or None."""
    alternatives = "|".join(re.escape(one) for one in sorted(grades, key=len, reverse=True))
    flags = re.IGNORECASE if ignore_case else 0
    found = [match.group() for match in re.finditer(rf"(?<!\w)(?:{alternatives})(?!\w)", reply, flags)]
    if not found or not alternatives:
        return None
    chosen = found[0 if which == "first" else -1]
    return next(one for one in grades if one == chosen or (ignore_case and one.casefold() == chosen.casefold()))


def absolute(reply: str, low: float, high: float, *, which: Which = "last", after: str = "") -> float | None:
    """The score that a reply states as a number in [`low`, `high`], scaled to [0, 1]; None when it states none.

    `after` is a regular expression that the number must follow, such as `Score:`. A number out of range is none.
    """
    if after:
        places = list(re.finditer(after, reply))
        if not places:
            return None
        reply = reply[places[0 if which == "first" else -1].end() :]
    written = number(reply, "first" if after else which)
    value = None if written is None else as_number(written)
    if value is None or not low <= value <= high:
        return None
    return (value - low) / (high - low)
