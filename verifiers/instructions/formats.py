"""IFEval's format and content constraints: lists, highlights, sections, titles, JSON, placeholders."""

from __future__ import annotations

import json
import re
from typing import Final

from verifiers.instructions.registry import Result, checker

ANSWERS: Final = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
"""What `constrained_response` allows, from the paper's appendix."""
_PLACEHOLDER: Final = re.compile(r"\[[^\[\]\n]*\]")
_STARRED: Final = re.compile(r"\*([^\n*]*)\*")
_DOUBLE_STARRED: Final = re.compile(r"\*\*([^\n*]*)\*\*")
_OPENING_FENCE: Final = re.compile(r"```(?:json)?", re.IGNORECASE)


@checker("detectable_content:number_placeholders")
def number_placeholders(text: str, *, num_placeholders: int) -> Result:
    """At least `num_placeholders` placeholders in square brackets."""
    count = len(_PLACEHOLDER.findall(text))
    return Result(count >= num_placeholders, f"{count} placeholders")


@checker("detectable_content:postscript")
def postscript(text: str, *, postscript_marker: str) -> Result:
    """A postscript, opened by its marker; for `P.S.` and `P.P.S` spaces between the letters are allowed."""
    marker = postscript_marker.strip()
    patterns = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    found = re.search(patterns.get(marker, re.escape(marker.lower())), text.lower())
    return Result(found is not None, "" if found else f"no `{marker}`")


@checker("detectable_format:number_bullet_lists")
def number_bullet_lists(text: str, *, num_bullets: int) -> Result:
    """Exactly `num_bullets` lines that open with `*` (not `**`) or `-`."""
    count = sum(1 for line in text.split("\n") if _is_bullet(line.lstrip()))
    return Result(count == num_bullets, "" if count == num_bullets else f"{count} bullets, not {num_bullets}")


def _is_bullet(line: str) -> bool:
    return line.startswith("-") or (line.startswith("*") and not line.startswith("**"))


@checker("detectable_format:constrained_response")
def constrained_response(text: str) -> Result:
    """One of the three fixed answers stands in the text."""
    followed = any(answer in text for answer in ANSWERS)
    return Result(followed, "" if followed else "none of the allowed answers")


@checker("detectable_format:number_highlighted_sections")
def number_highlighted_sections(text: str, *, num_highlights: int) -> Result:
    """At least `num_highlights` spans in `*single*` or `**double**` stars that are not blank."""
    spans = [*_STARRED.findall(text), *_DOUBLE_STARRED.findall(text)]
    count = sum(1 for span in spans if span.strip())
    return Result(count >= num_highlights, f"{count} highlights")


@checker("detectable_format:multiple_sections")
def multiple_sections(text: str, *, section_spliter: str, num_sections: int) -> Result:
    """At least `num_sections` headings such as `SECTION 1`. (The published argument is spelled so.)"""
    count = len(re.findall(rf"{re.escape(section_spliter.strip())}\s?\d+", text))
    return Result(count >= num_sections, f"{count} sections")


@checker("detectable_format:json_format")
def json_format(text: str) -> Result:
    """The whole text is JSON; a fence around it is taken off."""
    body = text.strip()
    fence = _OPENING_FENCE.match(body)
    body = (body[fence.end() :] if fence else body).removesuffix("```").strip()
    try:
        json.loads(body)
    except (ValueError, RecursionError) as e:
        return Result(False, f"not JSON: {e}"[:120])
    return Result(True)


@checker("detectable_format:title")
def title(text: str) -> Result:
    """A title in double angular brackets on one line."""
    for line in text.split("\n"):
        start, end = line.find("<<"), line.rfind(">>")
        if start >= 0 and end > start + 2 and line[start + 2 : end].strip("<> \t\r"):
            return Result(True)
    return Result(False, "no <<title>>")
