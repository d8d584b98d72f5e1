"""From a Markdown report to its sentences, each with the evidence that stands in or right after it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gym_mcp.errors import UsageError

_MARK: Final = re.compile(r"\[(claim|cite):")
_HOLE: Final = re.compile("\ue000(\\d+)\ue001")
_HOLE_AT_END: Final = re.compile("(?:\\s*\ue000\\d+\ue001)+(?=[.,;:!?])")
_END: Final = re.compile("[.!?][\"')*_]*(?:\\s*\ue000\\d+\ue001)*(?=\\s+[A-Z0-9\"'`*(])")
_BULLET: Final = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")
_ABBREVIATED: Final = re.compile(r"(?:\b(?:e\.g|i\.e|vs|cf|approx|no|resp|etc))\.$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Claim:
    """`[claim: QUERY = VALUE]`."""

    query: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Citation:
    """`[cite: ROLLOUT_ID PLACE "quoted"]`."""

    rollout: str
    place: str
    quoted: str
    source: str


@dataclass(slots=True)
class Sentence:
    """Prose of one sentence, heading, table row or item, without its evidence."""

    line: int
    text: str
    claims: list[Claim] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    heading: bool = False
    """A heading or a table's head: a label, no statement."""
    fragment: bool = False
    """A table row: not expected to be a whole sentence."""


def read_text(path: Path) -> str:
    """The text of a report, or of what stands beside one."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as e:
        raise UsageError(f"{path}: {e.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8") from None


def sentences(report: str) -> list[Sentence]:
    """All sentences of a report in order."""
    found: list[Sentence] = []
    for line, block, kind in _blocks(report):
        marks: list[str] = []
        holed = _cut(block, marks)
        parts = [holed] if kind in ("heading", "row", "fence") else _split(holed)
        for part in parts:
            prose = " ".join(_HOLE.sub(" ", _HOLE_AT_END.sub("", part)).split())
            own = [marks[int(i)] for i in _HOLE.findall(part)]
            if not re.search(r"\w", prose) and found and own:
                _attach(found[-1], own)
                continue
            if not re.search(r"\w", prose) and not own:
                continue
            sentence = Sentence(line, prose, heading=kind == "heading", fragment=kind in ("row", "fence"))
            _attach(sentence, own)
            found.append(sentence)
    return found


def _blocks(report: str) -> Iterator[tuple[int, str, str]]:
    """(line, text, kind) of headings, table rows, items and paragraphs."""
    lines = report.splitlines()
    paragraph: list[str] = []
    start, fenced = 0, False
    if lines and lines[0].strip() == "---" and "---" in (x.strip() for x in lines[1:]):
        end = next(i for i, x in enumerate(lines[1:], 1) if x.strip() == "---")
        lines[: end + 1] = [""] * (end + 1)
    for number, line in enumerate([*lines, ""], 1):
        bare = line.strip()
        fence = bare.startswith(("```", "~~~"))
        table = bare.startswith("|")
        special = not bare or bare.startswith("#") or table or fence or fenced
        if paragraph and (special or _BULLET.match(line)):
            yield start, " ".join(paragraph), "text"
            paragraph = []
        if fence:
            fenced = not fenced
        elif fenced:
            if bare:
                yield number, bare, "fence"
        elif bare.startswith("#"):
            yield number, bare.lstrip("# "), "heading"
        elif table:
            if not re.fullmatch(r"[|\s:-]+", bare):
                following = lines[number].strip() if number < len(lines) else ""
                head = bool(re.fullmatch(r"\|[|\s:-]+", following))
                yield number, bare.strip("| "), "heading" if head else "row"
        elif bare:
            if not paragraph:
                start = number
            paragraph.append(_BULLET.sub("", line).strip().removeprefix("> "))


def _cut(text: str, marks: list[str]) -> str:
    """The text with a hole for each `[claim: ...]` and `[cite: ...]`, whose brackets and quotes may nest."""
    out, at = [], 0
    while match := _MARK.search(text, at):
        end = _closing(text, match.start())
        if end < 0:
            break
        out.append(text[at : match.start()])
        out.append(f"\ue000{len(marks)}\ue001")
        marks.append(text[match.start() : end + 1])
        at = end + 1
    return "".join(out) + text[at:]


def _closing(text: str, start: int) -> int:
    depth, quote = 0, ""
    for at in range(start, len(text)):
        c = text[at]
        if quote:
            if c == quote and text[at - 1] != "\\":
                quote = ""
        elif c == '"' or (c == "'" and text.startswith("[claim:", start)):
            quote = c
        elif c in "[":
            depth += 1
        elif c == "]":
            depth -= 1
            if depth == 0:
                return at
    return -1


def _split(text: str) -> list[str]:
    """Sentences. Evidence after a full stop belongs to the sentence before it."""
    parts: list[str] = []
    start = 0
    for match in _END.finditer(text):
        if not _ABBREVIATED.search(text[start : match.start() + 1]):
            parts.append(text[start : match.end()])
            start = match.end()
    return [*parts, text[start:]]


def _attach(sentence: Sentence, marks: list[str]) -> None:
    for mark in marks:
        if mark.startswith("[claim:"):
            query, value = _halves(mark[len("[claim:") : -1])
            if query and value:
                sentence.claims.append(Claim(query, value, mark))
            else:
                sentence.broken.append(mark)
        else:
            match = re.fullmatch(r'\s*(\S+)\s+(\S+)\s+"(.*)"\s*', mark[len("[cite:") : -1], re.DOTALL)
            if match and match.group(3).strip():
                quoted = match.group(3).replace('\\"', '"')
                sentence.citations.append(Citation(match.group(1), match.group(2), quoted, mark))
            else:
                sentence.broken.append(mark)


def _halves(text: str) -> tuple[str, str]:
    """Query and value: parted by the last ` = `."""
    query, equals, value = text.rpartition(" = ")
    return (query.strip(), value.strip()) if equals else ("", "")
