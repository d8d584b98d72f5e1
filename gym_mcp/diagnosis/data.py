"""Artifacts of the data: cut prompts, answers in plain sight, the same question with two keys."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from gym_mcp.diagnosis.answers import plain
from gym_mcp.diagnosis.facts import Facts
from gym_mcp.diagnosis.finding import Finding, Scale, finding
from gym_mcp.diagnosis.scan import Scan, TaskFacts, artifact, row_at

RARE: Final = 0.2
READ_FOR_LEAKS: Final = 3_000
"""Rollouts whose tool results are searched for the key; of a larger run, the first of each task, evenly spread."""
_GIVEN: Final = (
    r"(?:the\s+)?(?:correct|right|expected|reference|gold|final|true)?[ _-]?"
    r"(?:answer|solution|ground[ _-]?truth|label|key|hint|(?<=correct )(?:option|choice|response))"
    r"[\"'*_` ]{0,3}\s*(?:is|=|:|->|are|should be|must be)\s*[\"'*_`(\[]{0,4}"
)


_TOLD: Final = (
    r"\b(?:gold|key|label|target|truth|solution|answer|expected|reference)\w*[\"']?\s*(?:[=:]|->|=>)>?\s*[\"'(\[]{0,2}",
    r"\b(?:option|choice|letter|answer)\s+[\"'(]?",
    r"\b(?:hint|tip|psst|spoiler|secret|cheat\w*)\b[^\n]{0,60}?[\s\"'(:=]",
)
_COULD_TELL: Final = re.compile(
    r"answer|solution|truth|gold|expected|reference|correct|hint|spoiler|cheat|\bkey\b", re.IGNORECASE
)
_AFTER: Final = (r"(?!\w)", r"[\"')]?\s+(?:is|was|would be|it is)\b", r"(?!\w)")


def data(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Findings in the tasks themselves; the rollouts shown are those of the tasks."""
    yield from _keys(s, scale)
    yield from _leaks(s, scale)
    yield from _leaks_in_tools(s, scale)
    yield from _leaks_in_results(s, scale)


def _keys(s: Scan, scale: Scale) -> Iterator[Finding]:
    groups: dict[bytes, list[int]] = {}
    for i, task in enumerate(s.tasks):
        if task.prompt:
            groups.setdefault(task.digest, []).append(i)
    torn = [g for g in groups.values() if len({plain(k) for i in g if (k := s.tasks[i].key) is not None}) > 1]
    if torn:
        yield artifact(
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
        yield artifact(
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
        yield artifact(
            s,
            scale,
            "answer_leak_prompt",
            "The prompt gives the answer away",
            shown,
            "take the answer out",
            confidence="high" if set(shown) <= set(said) else "medium",
        )


def _leaks_in_tools(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Descriptions of tools that say what a task's answer is."""
    tools = s.run.manifest["environment"].get("tools") or ()
    lines = (line for t in tools for line in str(t.get("description") or "").splitlines())
    told = "\n".join(line for line in lines if _COULD_TELL.search(line))
    shown = [i for i, t in enumerate(s.tasks) if told and _tells(told, t)]
    if shown:
        title = "The description of a tool gives the answer away"
        yield artifact(
            s, scale, "answer_leak_description", title, shown, "take the answer out", confidence="medium"
        )


def _own_lines(prompts: list[str]) -> list[str]:
    """Prompts without the lines that half of them share: examples say answers too."""
    lines = Counter(line for p in prompts for line in set(p.splitlines()))
    most = max(2.0, 0.5 * len(prompts))
    return ["\n".join(line for line in p.splitlines() if lines[line] < most) for p in prompts]


def _tells(text: str, task: TaskFacts) -> bool:
    """Whether a text says `the answer is KEY`, or as much."""
    low = text.casefold()
    for key in (task.key, task.chosen, *task.references):
        if (
            not key or key.strip().casefold() not in low
        ):  # most are not there: found out before any pattern is tried
            continue
        core = re.escape(key.strip())
        if core and re.search(_GIVEN + core + r"(?!\w)", text, re.IGNORECASE):
            return True
        # A letter is told by its case: `a` is a word.
        told = core if len(core) > 1 else f"(?-i:{core})"
        if core and any(re.search(a + told + b, text, re.IGNORECASE) for a, b in zip(_TOLD, _AFTER, strict=True)):
            return True
    return False


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
    rows = [f for f in s.present if f.calls and (s.tasks[f.task].key or s.tasks[f.task].references)]
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
