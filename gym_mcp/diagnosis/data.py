"""Artifacts of the data: cut prompts, answers in plain sight, the same question with two keys."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from gym_mcp.diagnosis.answers import plain
from gym_mcp.diagnosis.facts import Facts
from gym_mcp.diagnosis.finding import SHOWN, Finding, Scale, finding
from gym_mcp.diagnosis.scan import Scan, TaskFacts, of_tasks, row_at

MOST: Final = 0.9
RARE: Final = 0.2
READ_FOR_LEAKS: Final = 3_000
"""Rollouts whose tool results are searched for the key; of a larger run, the first of each task, evenly spread."""
_ENDS: Final = re.compile(r"[.!?:;)\]}>\"'`*|$…”’。？！]\s*$")
_HANGS: Final = re.compile(
    r"(?:\b(?:the|a|an|of|and|or|to|in|on|with|for|from|is|are|was|that|which|by|as|at|if|than|its|their)"
    r"|[,(\[{/\\-])\s*$",
    re.IGNORECASE,
)
_GIVEN: Final = (
    r"(?:the\s+)?(?:correct|right|expected|reference|gold|final|true)?[ _-]?"
    r"(?:answer|solution|ground[ _-]?truth|label|key|hint|(?<=correct )(?:option|choice|response))"
    r"[\"'*_` ]{0,3}\s*(?:is|=|:|->|are|should be|must be)\s*[\"'*_`(\[]{0,4}"
)


def data(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Findings in the tasks themselves; the rollouts shown are those of the tasks."""
    yield from _prompts(s, scale)
    yield from _keys(s, scale)
    yield from _leaks(s, scale)
    yield from _leaks_in_results(s, scale)


def _tasks(
    s: Scan, scale: Scale, kind: str, title: str, indexes: list[int], advice: str, **more: object
) -> Finding:
    given = {"suspect": True, "advice": advice, **more}
    return of_tasks(s, scale, kind, "DA", title, indexes, len(s.tasks), **given)


def _prompts(s: Scan, scale: Scale) -> Iterator[Finding]:
    texts = [t.prompt.rstrip() for t in s.tasks]
    empty = [i for i, text in enumerate(texts) if not text]
    if empty and len(empty) < len(texts):
        yield _tasks(
            s, scale, "empty_prompt", "Tasks without a prompt, where others have one", empty, "mend the rows"
        )
    cut = cut_prompts(texts)
    if cut:
        yield _tasks(
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


def _keys(s: Scan, scale: Scale) -> Iterator[Finding]:
    groups: dict[bytes, list[int]] = {}
    for i, task in enumerate(s.tasks):
        if task.prompt:
            groups.setdefault(task.digest, []).append(i)
    torn = [g for g in groups.values() if len({plain(k) for i in g if (k := s.tasks[i].key) is not None}) > 1]
    if torn:
        yield _tasks(
            s,
            scale,
            "contradictory_keys",
            "The same prompt with different keys",
            sorted(i for g in torn for i in g),
            "at most one of the keys can be right",
        )
    twice = [
        g for g in groups.values() if len(g) > 1 and g not in torn and len({str(s.tasks[i].data) for i in g}) == 1
    ]
    if twice:
        yield _tasks(
            s,
            scale,
            "duplicate_tasks",
            "The same task more than once",
            sorted(i for g in twice for i in g),
            "drop the copies: they count as independent and are not",
        )


def _leaks(s: Scan, scale: Scale) -> Iterator[Finding]:
    own = _own_lines([t.prompt for t in s.tasks])
    said = [i for i, t in enumerate(s.tasks) if _tells(own[i], t)]
    bare = [i for i, t in enumerate(s.tasks) if t.key and _distinctive(t.key) and _holds(own[i], t.key)]
    keyed = sum(1 for t in s.tasks if t.key)
    # Where most prompts hold their answer, finding it there is the task.
    shown = sorted({*said, *(bare if len(bare) <= RARE * keyed else ())})
    if shown:
        yield _tasks(
            s,
            scale,
            "answer_leak_prompt",
            "The prompt gives the answer away",
            shown,
            "take the answer out",
            confidence="high" if set(shown) <= set(said) else "medium",
        )


def _own_lines(prompts: list[str]) -> list[str]:
    """Prompts without the lines that half of them share: examples say answers too."""
    lines = Counter(line for p in prompts for line in set(p.splitlines()))
    most = max(2.0, 0.5 * len(prompts))
    return ["\n".join(line for line in p.splitlines() if lines[line] < most) for p in prompts]


def _tells(text: str, task: TaskFacts) -> bool:
    """Whether a text says `the answer is KEY`, or as much."""
    return any(
        re.search(_GIVEN + re.escape(core) + r"(?!\w)", text, re.IGNORECASE) is not None
        for key in (task.key, task.chosen)
        if key and (core := key.strip())
    )


def _distinctive(key: str) -> bool:
    """Whether finding it in a prompt is hardly chance: words of the question are answers often enough."""
    core = plain(key)
    return (len(core) >= 8 and " " in core) or (len(core) >= 4 and core.replace("/", "").lstrip("-").isdigit())


def _holds(text: str, key: str) -> bool:
    if any(plain(line) == plain(key) for line in text.splitlines()):
        return True
    return re.search(r"(?<!\w)" + re.escape(key.strip()) + r"(?!\w)", text, re.IGNORECASE) is not None


def _leaks_in_results(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Tool results that say what the answer is. Texts that merely hold it may be what the tool is for."""
    rows = [f for f in s.present if f.calls and s.tasks[f.task].key]
    step = max(1, -(-len(rows) // READ_FOR_LEAKS))
    shown = [f for f in rows[::step] if _leaks_to(s, f, _tells)]
    if len(shown) > 0.5 * len(rows[::step]):  # a calculator answers too: only what names the key is a leak
        shown = [f for f in shown if _leaks_to(s, f, _tells_plainly)]
    if shown:
        yield finding(
            scale,
            "answer_leak_tool",
            "DA",
            "A tool's result says what the answer is",
            shown,
            len(rows[::step]),
            suspect=True,
            confidence="medium",
            details={"read": len(rows[::step]), "of": len(rows)},
        )


def _leaks_to(s: Scan, f: Facts, tells: Callable[[str, TaskFacts], bool]) -> bool:
    row = row_at(s.run.directory.rollouts_path, f.offset)
    return any(tells(str(entry.get("result") or ""), s.tasks[f.task]) for entry in row.get("ledger") or ())


def _tells_plainly(text: str, task: TaskFacts) -> bool:
    return bool(_PLAINLY.search(text)) and _tells(text, task)


_PLAINLY: Final = re.compile(r"correct|right|expected|reference|gold|ground[ _-]?truth|answer key", re.IGNORECASE)
