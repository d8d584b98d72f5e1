"""From a Markdown report to its sentences, each with the evidence that stands in or right after it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gym_mcp.errors import UsageError

_MARK: Final = re.compile(r"\[(claim|cite):")
_HOLE: Final = re.compile("\ue000(\\d+)\ue001")
_HOLE_AT_END: Final = re.compile("(?<![\ue001\\s])(?:\\s*\ue000\\d+\ue001)+(?=[.,;:!?])")
_END: Final = re.compile("[.!?][\"')*_]*(?:\\s*\ue000\\d+\ue001)*(?=\\s+[A-Z0-9\"'`*(<])")
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
    item: bool = False
    """An item of a list: it may end without a full stop."""
    context: str = ""
    """What stands above a row: the head of its table."""


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
    for block in _blocks(_visible(report)):
        marks: list[str] = []
        holed = _cut(block.text, marks)
        whole = block.kind in ("heading", "row", "fence", "front")
        for part in [holed] if whole else _split(holed):
            prose = _plain(" ".join(_HOLE.sub(" ", _HOLE_AT_END.sub("", part)).split()))
            own = [marks[int(i)] for i in _HOLE.findall(part)]
            if not re.search(r"\w", prose) and found and own:
                _attach(found[-1], own)
                continue
            if not re.search(r"\w", prose) and not own:
                continue
            sentence = Sentence(
                block.line, prose, heading=block.kind in ("heading", "front"), context=block.context
            )
            sentence.fragment = block.kind in ("row", "fence")
            sentence.item = block.kind == "item" or part.rstrip().endswith("\ue001")
            _attach(sentence, own)
            found.append(sentence)
    return found


def _visible(report: str) -> str:
    """The report without characters that show nothing, and without those that stand for evidence here."""
    if report.isascii():
        return report
    return "".join(c for c in report if unicodedata.category(c) not in ("Cf", "Co") or c in "\u200c\u200d")


def _plain(prose: str) -> str:
    """Digits and letters in their plain form; what HTML and links hide between their marks is read."""
    if len(prose) > LONGEST_READ:
        return prose  # too long for a sentence, and flagged as that
    if "<" in prose:
        prose = _TAG.sub(lambda m: " ".join(["", *_ATTRIBUTE.findall(m.group()), ""]), prose)
    if "](" in prose:
        prose = _LINK.sub(lambda m: f"{m.group(1)} {(m.group(2) or '').strip(chr(34) + chr(39))}", prose)
    if not prose.isascii():
        prose = _RAISED.sub("", unicodedata.normalize("NFKC", _RAISED.sub("", prose))).replace("\u2044", "/")
    return " ".join(prose.split())


LONGEST_READ: Final = 10_000
"""Characters of a sentence that is read for what HTML and links hide."""
_TAG: Final = re.compile(r"</?[a-zA-Z][^<>]*>|<!--|-->")
_ATTRIBUTE: Final = re.compile(
    r"(?:alt|title|summary|label|aria-label|content)\s*=\s*[\"']([^\"']*)[\"']", re.IGNORECASE
)
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\(\s*<?[^\s)>]*>?(\s+[\"'][^\"']*[\"'])?\s*\)")
_RAISED: Final = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+")


@dataclass(frozen=True, slots=True)
class _Block:
    line: int
    text: str
    kind: str
    context: str = ""


def _blocks(report: str) -> Iterator[_Block]:
    """Headings, cells and rows of tables, items and paragraphs, with the lines that they begin at."""
    lines = report.splitlines()
    paragraph: list[str] = []
    start, fenced, kind, head = 0, False, "text", list[str]()
    if lines and lines[0].strip() == "---" and "---" in (x.strip() for x in lines[1:]):
        end = next(i for i, x in enumerate(lines[1:], 1) if x.strip() == "---")
        for number, line in enumerate(lines[1:end], 2):
            yield _Block(number, line.partition(":")[2].strip() or line.strip(), "front")
        lines[: end + 1] = [""] * (end + 1)
    for number, line in enumerate([*lines, ""], 1):
        bare = line.strip()
        fence = bare.startswith(("```", "~~~"))
        following = lines[number].strip() if number < len(lines) else ""
        table = not fenced and _is_row(bare, following, bool(head))
        comment = not fenced and bare.startswith("<!--") and bare.endswith("-->")
        special = not bare or comment or bare.startswith("#") or table or fence or fenced
        underline = bool(paragraph) and re.fullmatch(r"=+|-{2,}", bare) is not None
        if paragraph and (special or underline or _BULLET.match(line)):
            yield _Block(start, " ".join(paragraph), "heading" if underline else kind)
            paragraph = []
        head = head if table else []
        if fence:
            fenced = not fenced
        elif fenced:
            if bare:
                yield _Block(number, bare, "fence")
        elif comment:
            yield _Block(number, bare, "fence")
        elif bare.startswith("#"):
            yield _Block(number, bare.lstrip("# "), "heading")
        elif table:
            if re.fullmatch(r"[|\s:-]+", bare):
                continue
            if re.fullmatch(r"\|?[|\s:-]*-[|\s:-]*", following) and not head:
                head = _cells(bare)
                yield _Block(number, bare.strip("| "), "heading")
            else:
                yield from _row(number, bare, head)
        elif bare and not underline:
            if not paragraph:
                start, kind = number, "item" if _BULLET.match(line) else "text"
            paragraph.append(_BULLET.sub("", line).strip().removeprefix("> "))


def _is_row(bare: str, following: str, inside: bool) -> bool:
    if bare.startswith("|"):
        return True
    ruled = re.fullmatch(r"\|?[|\s:-]*\|[|\s:-]*", following) is not None and "-" in following
    return "|" in bare and (inside or ruled)


def _cells(row: str) -> list[str]:
    """The cells of a row; a bar inside of evidence or code parts none."""
    marks: list[str] = []
    holed = re.sub(r"`[^`]*`", lambda m: m.group().replace("|", "\ue002"), _cut(row, marks))
    parts = [cell.strip() for cell in holed.strip().strip("|").split("|")]
    back = [_HOLE.sub(lambda m: marks[int(m.group(1))], cell) for cell in parts]
    return [cell.replace("\ue002", "|") for cell in back]


def _row(number: int, bare: str, head: list[str]) -> Iterator[_Block]:
    """A row as a block for each cell that has evidence of its own, under its head; else the row as it is."""
    cells = _cells(bare)
    context = " ".join(head)
    own = [
        bool(_MARK.search(cell)) and bool(re.search(r"\w", _cut(cell, []).split("\ue000")[0])) for cell in cells
    ]
    figures = [bool(re.search(r"\d|\w{4,}", cell)) for cell in cells]
    if len(cells) < 2 or not any(own[1:]) or any(f and not o for f, o in zip(figures[1:], own[1:], strict=True)):
        yield _Block(number, bare.strip("| "), "row", context)
        return
    if own[0]:
        yield _Block(number, cells[0], "row", context)
    label = "" if own[0] else cells[0]
    for at, cell in enumerate(cells[1:], 1):
        above = head[at] if at < len(head) else ""
        if own[at]:
            yield _Block(number, f"{label} {above}: {cell}".strip(), "row", context)


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
        elif c == "[":
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
