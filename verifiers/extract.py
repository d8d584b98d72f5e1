"""Which part of a reply is the answer: which messages count, what becomes of thoughts, first or last, its form.

Every choice is a parameter; systems that look alike differ in exactly these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar

from verifiers.patterns import Which as Which
from verifiers.patterns import find

T = TypeVar("T")
Graded: TypeAlias = Literal["all", "lines", "last_message", "last_item"]
Thoughts: TypeAlias = Literal["keep", "strip", "strip_or_empty", "refuse"]

MAX_CANDIDATES: Final = 2_000
"""Places of a reply at which a form is looked for."""
_OPENER: Final = re.compile(r"<(think|thinking)>", re.IGNORECASE)
_CLOSERS: Final = {name: re.compile(f"</{name}>", re.IGNORECASE) for name in ("think", "thinking")}
_CLOSER: Final = re.compile(r"</(?:think|thinking)>", re.IGNORECASE)
_NUMBER: Final = re.compile(
    r"(?<![\w.])[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d)\.(?!\w))?(?:[eE][-+]?\d+)?"
)
_CELLS: Final = re.compile(r"\[\s*\[")


def graded_text(items: Iterable[Mapping[str, Any]], graded: Graded) -> str:
    """The text of an agent's output items that is graded.

    `all`: every part of every assistant message, joined without a separator. `lines`: the messages joined by line
    ends, white space around taken off. `last_message`: the last assistant message. `last_item`: the first part of
    the last item, if that is an assistant message; empty otherwise.
    """
    listed = list(items)
    messages = [item for item in listed if _is_message(item)]
    if graded == "all":
        return "".join(part for message in messages for part in _parts(message))
    if graded == "lines":
        return "\n".join("".join(_parts(message)) for message in messages).strip()
    if graded == "last_message":
        return "".join(_parts(messages[-1])) if messages else ""
    parts = _parts(listed[-1]) if listed and _is_message(listed[-1]) else []
    return parts[0] if parts else ""


def spoken_turns(items: Iterable[Mapping[str, Any]]) -> list[str]:
    """The agent's answers in a recorded conversation: its text between the messages of the user; blank ones go.

    Where no message of the user was recorded, each of the agent's is an answer.
    """
    listed = list(items)
    alone = not any(item.get("role") == "user" for item in listed)
    turns = [""]
    for item in listed:
        if item.get("role") == "user" or alone:
            turns.append("")
        if item.get("role") == "assistant":
            turns[-1] += "".join(_parts(item))
    return [turn for turn in turns if turn]


def _is_message(item: Mapping[str, Any]) -> bool:
    return item.get("type", "message") == "message" and item.get("role") == "assistant"


def _parts(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list) else []
    return [p["text"] for p in parts if isinstance(p, Mapping) and isinstance(p.get("text"), str)]


def without_thoughts(text: str, policy: Thoughts) -> str | None:
    """`text` under a policy for `<think>` tags that reach the verifier; None when it is refused for having them.

    `keep`: as it is. `strip`: without closed pairs, and without all that precedes a closing tag of its own.
    `strip_or_empty`: the same, and empty if a thought is opened and never closed. `refuse`: None if there is any.
    """
    if policy == "keep":
        return text
    if policy == "refuse":
        return None if _OPENER.search(text) or _CLOSER.search(text) else text
    text = _without_pairs(text)
    closers = list(_CLOSER.finditer(text))
    if closers:
        text = text[closers[-1].end() :]
    if policy == "strip_or_empty" and _OPENER.search(text):
        return ""
    return text.strip()


def _without_pairs(text: str) -> str:
    """`text` without what stands from an opening think tag to the next closing one of its name, both included."""
    kept, position, unclosed = [], 0, set[str]()
    for opener in _OPENER.finditer(text):
        name = opener.group(1).lower()
        if opener.start() < position or name in unclosed:
            continue
        closer = _CLOSERS[name].search(text, opener.end())
        if closer is None:
            unclosed.add(name)
            continue
        kept.append(text[position : opener.start()])
        position = closer.end()
    return "".join([*kept, text[position:]])


def label(text: str, labels: Sequence[str], which: Which, *, ignore_case: bool = False) -> str | None:
    """The one of `labels` that occurs first or last. Of two at the same place the longer counts."""
    flags = re.IGNORECASE if ignore_case else 0
    alternatives = "|".join(re.escape(one) for one in sorted(labels, key=len, reverse=True))
    if not alternatives:
        return None
    found = _pick((match.group() for match in re.finditer(alternatives, text, flags)), which)
    if found is None or not ignore_case:
        return found
    return next(one for one in labels if one.casefold() == found.casefold())


def by_patterns(text: str, patterns: Sequence[str], which: Which, *, flags: int = 0) -> str | None:
    """The match of the first of `patterns` that has one: its first group that took part, else all of it.

    White space around is taken off. Invalid patterns raise `re.error`, and a search that finds no end `TooSlow`.
    """
    for pattern in patterns:
        found = find(pattern, text, which, flags)
        if found is not None:
            return found.captured.strip()
    return None


def tagged(text: str, tag: str, which: Which) -> str | None:
    """What stands between `<tag>` and `</tag>`, white space around taken off."""
    name = re.escape(tag)
    opening, closing = (re.compile(f"<{slash}{name}>", re.IGNORECASE) for slash in ("", "/"))
    found = _pick(between(text, opening, closing), which)
    return None if found is None else found.strip()


def between(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> Iterator[str]:
    """What stands between an opening mark and the next closing one, again and again, in linear time."""
    position = 0
    while (start := opening.search(text, position)) and (end := closing.search(text, start.end())):
        yield text[start.end() : end.start()]
        position = end.end()


def number(text: str, which: Which) -> str | None:
    """A number as written: sign, thousands with commas, decimals, exponent; not a part of a word."""
    return _pick((m.group() for m in _NUMBER.finditer(text) if any(c.isdigit() for c in m.group())), which)


def last_line(text: str) -> str:
    """The last line that is not blank, white space around taken off."""
    stripped = text.rstrip()
    return stripped[stripped.rfind("\n") + 1 :].strip()


def json_list(text: str, which: Which, *, of_objects: bool = False) -> list[Any] | None:
    """A JSON list that is in no other; with `of_objects`, one that holds at least one object."""
    return _pick(_lists(text, of_objects), which)


def grid(text: str, which: Which) -> list[list[int]] | None:
    """A rectangular matrix of integers, written as JSON lists of lists."""
    return _pick((found for found in _lists(text, False, _CELLS) if _is_grid(found)), which)


def _lists(text: str, of_objects: bool, start: re.Pattern[str] = re.compile(r"\[")) -> Iterator[list[Any]]:
    decoder = json.JSONDecoder()
    position = 0
    for _ in range(MAX_CANDIDATES):
        opening = start.search(text, position)
        if opening is None:
            return
        try:
            value, position = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            position = opening.start() + 1
            continue
        if not of_objects or any(isinstance(entry, dict) for entry in value):
            yield value


def _is_grid(value: list[Any]) -> bool:
    rows = [row for row in value if isinstance(row, list) and row]
    cells = all(type(cell) is int for row in rows for cell in row)
    return len(rows) == len(value) and cells and len({len(row) for row in rows}) == 1


def _pick(found: Iterable[T], which: Which) -> T | None:
    chosen = None
    for one in found:
        chosen = one
        if which == "first":
            break
    return chosen
