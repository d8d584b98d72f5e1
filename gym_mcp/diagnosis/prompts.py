"""Prompts that are unlike those of the other tasks: cut, garbled, unfilled, without what the row holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from gym_mcp.diagnosis.answers import KEY_FIELDS
from gym_mcp.diagnosis.finding import SHOWN, Finding, Scale
from gym_mcp.diagnosis.scan import Scan, artifact

MOST: Final = 0.9
RARE: Final = 0.2
_ENDS: Final = re.compile(r"[.!?:;)\]}>\"'`*|$…”’。？！]\s*$")
_HANGS: Final = re.compile(
    r"(?:\b(?:the|a|an|of|and|or|to|in|on|with|for|from|is|are|was|that|which|by|as|at|if|than|its|their)"
    r"|[,(\[{/\\-])\s*$",
    re.IGNORECASE,
)
_GARBLED: Final = re.compile(
    "Ã[\\x80-\\xbf€-™]|Â[\\xa0-\\xbf]|â€|ï»¿|\ufffd|\\\\u00[0-9a-f]{2}|&(?:amp;)+(?:lt|gt|quot|#\\d+);"
)
"""UTF-8 read as Latin-1, replacement characters, escapes that were never read."""
_HOLES: Final = re.compile(
    r"(?<![\\\w}$])\{\{?\s*(?:question|prompt|context|problem|input|text|name|answer|options?|choices|instructions?|query|"
    r"document|passage|content|task|user|topic|example|data|item|title|value|code|language)(?:_?\w+)?\s*\}\}?"
    r"|\[(?:INSERT|TODO|PLACEHOLDER|FILL)\b[^\]\n]{0,200}\]|<(?:INSERT|TODO|PLACEHOLDER)\b[^>\n]{0,200}>|%\(\w+\)s|\$\{\w+\}"
    r"|^(?:None|nan|null|undefined|NaN)$|\bLorem ipsum\b",
    re.MULTILINE,
)


def prompts(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Findings in the prompts; the rollouts shown are those of their tasks."""
    yield from _prompts(s, scale)
    yield from _odd(s, scale)


def _prompts(s: Scan, scale: Scale) -> Iterator[Finding]:
    texts = [t.prompt.rstrip() for t in s.tasks]
    empty = [i for i, text in enumerate(texts) if not text]
    if empty and len(empty) < len(texts):
        yield artifact(
            s, scale, "empty_prompt", "Tasks without a prompt, where others have one", empty, "mend the rows"
        )
    cut = cut_prompts(texts)
    if cut:
        yield artifact(
            s,
            scale,
            "truncated_prompt",
            "Prompts that stop in the middle",
            cut,
            "mend the rows and run them again",
            confidence="medium",
            details={"ends": {s.tasks[i].id: texts[i][-60:] for i in cut[:SHOWN]}},
        )


def cut_prompts(texts: list[str]) -> list[int]:
    """Prompts that end unlike the rest: without the mark, or the last line, that nearly all others end with."""
    full = [t for t in texts if t]
    if len(full) < 5:
        return []
    marked = sum(1 for t in full if _ENDS.search(t))
    marks = marked >= 0.8 * len(full)
    lines = Counter(line for t in full for line in {x.strip() for x in t.splitlines() if len(x.strip()) > 15})
    common = {line for line, n in lines.items() if n >= MOST * len(full)}
    last = Counter(t.splitlines()[-1].strip() for t in full)
    closing = {line for line, n in last.items() if n >= 0.1 * len(full) and n >= 3}
    closed = sum(n for line, n in last.items() if line in closing) >= MOST * len(full)
    open_ones = sum(1 for t in full if _open(t))
    found = []
    for i, text in enumerate(texts):
        if not text or (_ENDS.search(text) and not _open(text)):
            continue
        hangs = bool(_HANGS.search(text)) and sum(1 for t in full if _HANGS.search(t)) <= RARE * len(full)
        opened = _open(text) and open_ones <= RARE * len(full)
        lacks_lines = bool(common) and not all(line in text for line in common)
        lacks_close = closed and text.splitlines()[-1].strip() not in closing
        if hangs or lacks_close or lacks_lines or (marks and not _ENDS.search(text) and (opened or _formal(text))):
            found.append(i)
    return found if len(found) <= 0.5 * len(full) else []


def _formal(text: str) -> bool:
    """Whether the last sentence begins with a capital: who writes so ends it with a mark."""
    last = re.split(r"[.!?:]\s+|\n", text)[-1].lstrip("\"'(*-# ")
    return last[:1].isupper()


def _open(text: str) -> bool:
    """Whether a bracket, a fence or a quotation that the text begins is never closed."""
    pairs = any(text.count(a) > text.count(b) for a, b in ("()", "[]", "{}", "“”"))
    quotes = len(re.findall(r"(?<!\w)'", text)) > len(re.findall(r"'(?!\w)", text))
    return pairs or quotes or text.count("```") % 2 == 1 or text.count('"') % 2 == 1


def _odd(s: Scan, scale: Scale) -> Iterator[Finding]:
    texts = [t.prompt for t in s.tasks]
    garbled = [i for i, text in enumerate(texts) if _GARBLED.search(text)]
    if garbled and len(garbled) <= 0.5 * len(texts):
        advice = "read the source in its own encoding"
        yield artifact(s, scale, "garbled_prompt", "Prompts in a broken encoding", garbled, advice)
    holes = [i for i, text in enumerate(texts) if _HOLES.search(text)]
    if holes and len(holes) <= RARE * len(texts) + 1:
        advice, title = "fill the template", "Prompts with a placeholder that was never filled"
        yield artifact(s, scale, "unfilled_prompt", title, holes, advice, confidence="medium")
    lacking = _lacking(s)
    if lacking:
        yield artifact(
            s,
            scale,
            "prompt_lacks_data",
            "Prompts without what their rows hold, where the others have it",
            sorted(lacking),
            "make these prompts again from their rows",
            confidence="medium",
            details={"fields": {s.tasks[i].id: lacking[i] for i in sorted(lacking)[:SHOWN]}},
        )
    unlike = sorted({*_other_roles(s), *_without_shared_lines(texts)})
    headless = [] if unlike else _headless(texts)
    if unlike or headless:
        advice = "compare them with the others: a system message or a beginning is missing"
        yield artifact(
            s,
            scale,
            "prompt_unlike_others",
            "Prompts that begin unlike all others",
            unlike or headless,
            advice,
            suspect=bool(unlike),
            confidence="medium" if unlike else "low",  # a casual question begins with a small letter, too
        )


def _other_roles(s: Scan) -> list[int]:
    """Prompts without a system message, where nearly all others have one."""
    have = [i for i, t in enumerate(s.tasks) if {"system", "developer"} & set(t.roles)]
    return _rest(len(s.tasks), have)


def _headless(texts: list[str]) -> list[int]:
    """Prompts that begin in the middle of a word or sentence, where the others begin with a capital or a mark."""
    begun = [i for i, t in enumerate(texts) if not re.match(r"\s*(?:[a-z]|[.,;:!?)\]}’'\"]\s)", t)]
    return _rest(len(texts), begun)


def _without_shared_lines(texts: list[str]) -> list[int]:
    """Prompts that lack the lines which nearly all others share, and share none of their own instead."""
    lines = [{x.strip() for x in t.splitlines() if len(x.strip()) > 15} for t in texts]
    counts = Counter(line for own in lines for line in own)
    common = {line for line, n in counts.items() if n >= (1 - RARE) * len(texts)}
    if not common:
        return []
    have = [i for i, own in enumerate(lines) if common & own]
    return [i for i in _rest(len(texts), have) if not any(counts[line] > 1 for line in lines[i])]


def _rest(whole: int, have: list[int]) -> list[int]:
    """The others, where they are few."""
    if whole < 5 or not (1 - RARE) * whole <= len(have) < whole:
        return []
    return sorted(set(range(whole)) - set(have))


def _lacking(s: Scan) -> dict[int, str]:
    """Tasks whose prompt lacks the texts of a field which the prompts of most others hold, by the field."""
    found: dict[int, str] = {}
    values: dict[str, dict[int, str]] = {}
    for i, task in enumerate(s.tasks):
        for path, texts in _texts(task.data).items():
            values.setdefault(path, {})[i] = "\n".join(texts)
    flat = [_words(t.prompt) for t in s.tasks]
    for path, of in sorted(values.items()):
        told = {i for i, text in of.items() if all(_words(x) in flat[i] for x in text.splitlines())}
        long = sum(map(len, of.values())) >= 10 * len(of)
        shapes = {frozenset(s.tasks[i].data) for i in told}
        if len(of) >= 5 and long and len(set(of.values())) >= 0.7 * len(of) and len(told) >= 0.75 * len(of):
            lacking = [i for i in sorted(of.keys() - told) if frozenset(s.tasks[i].data) in shapes]
            found.update({i: path for i in lacking})  # rows of another shape are tasks of another kind
    return found


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _texts(value: Any, path: str = "data", depth: int = 0) -> dict[str, list[str]]:
    """The texts of a row by their path, places in lists left out."""
    found: dict[str, list[str]] = {}
    inner: list[tuple[str, Any]] = []
    if isinstance(value, dict) and depth < 4:
        # The keys of an option are letters: its texts belong together.
        inner = [(path if len(k) == 1 else f"{path}.{k}", v) for k, v in value.items() if k not in KEY_FIELDS]
    elif isinstance(value, list) and depth < 4:
        inner = [(path, v) for v in value[:20]]
    elif isinstance(value, str) and 0 < len(value.strip()) <= 4_000:
        found[path] = [value]
    for where, v in inner:
        for at, texts in _texts(v, where, depth + 1).items():
            found.setdefault(at, []).extend(texts)
    return found
