"""Which program a reply gives: the fences that hold it, and what is done with thinking that leaked into it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

Fence: TypeAlias = Literal["last_two_marks", "last", "last_python", "first_python", "none"]
Think: TypeAlias = Literal["keep", "strip"]

_MARK: Final = re.compile(r"```[ \t]*([\w+#.-]*)[^`]*")
_PYTHON: Final = ("python", "python3", "py")


def extract_program(text: str, fence: Fence = "last_two_marks", think: Think = "keep") -> str | None:
    """The program in a reply; None if there is none under the rule. Never raises.

    `last_two_marks`: what stands between the last two lines that contain three backticks, whatever these belong to
    (LiveCodeBench). `last`: the last closed block. `last_python`, `first_python`: of the closed blocks marked as
    Python. `none`: the whole text. `think="strip"` first removes `<think>...</think>`, what precedes a lone
    `</think>`, and what follows a lone `<think>`.
    """
    if think == "strip":
        text = strip_thinking(text)
    if fence == "none":
        return text if text.strip() else None
    if fence == "last_two_marks":
        return _between_marks(text)
    blocks = list(_blocks(text))
    if fence != "last":
        blocks = [block for block in blocks if block[0] in _PYTHON]
    if not blocks:
        return None
    return blocks[0 if fence == "first_python" else -1][1]


def strip_thinking(text: str) -> str:
    """`text` without thinking, also where one of its tags is missing."""
    kept: list[str] = []
    while True:
        start = text.find("<think>")
        end = text.find("</think>", max(start, 0))
        if start < 0 or end < 0:
            break
        kept.append(text[:start])
        text = text[end + len("</think>") :]
    text = "".join(kept) + text
    return text.rpartition("</think>")[2].partition("<think>")[0]


def leaks_thinking(text: str) -> bool:
    """Whether a think tag stands in the text."""
    return "<think>" in text or "</think>" in text


def _between_marks(text: str) -> str | None:
    lines = text.split("\n")
    marks = [i for i, line in enumerate(lines) if "```" in line]
    if len(marks) < 2:
        return None
    return "\n".join(lines[marks[-2] + 1 : marks[-1]])


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """(language, content) of the closed blocks whose marks stand on lines of their own."""
    language: str | None = None
    content: list[str] = []
    for line in text.split("\n"):
        stripped = line.strip()
        if language is None:
            mark = _MARK.fullmatch(stripped)
            if mark:
                language, content = mark.group(1).lower(), []
        elif stripped == "```":
            yield language, "".join(f"{kept}\n" for kept in content)
            language = None
        else:
            content.append(line)
