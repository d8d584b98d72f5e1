"""Full scores that the rollouts themselves do not support."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from gym_mcp.diagnosis.answers import plain, plainly_another, same
from gym_mcp.diagnosis.facts import Facts
from gym_mcp.diagnosis.finding import Finding, Scale, finding
from gym_mcp.diagnosis.scan import Scan

_OBJECTS: Final = re.compile(
    r"\b(?:differs?|missing|wrong|incorrect|mismatch\w*|unequal|not (?:found|equal|met|in|the|what|there|done)|"
    r"(?:does|did|is|was) not|no (?:answer|match|such)|fails?|failed|invalid|unsolved|lacks?|"
    r"too (?:few|many|long|short))\b",
    re.IGNORECASE,
)
FEW: Final = 3


def evidence(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Suspects among the rollouts that passed."""
    yield from _evidence(s, scale)
    yield from _wrong_but_passed(s, scale)
    yield from _against_notes(s, scale)
    yield from _without_the_calls(s, scale)


def _evidence(s: Scan, scale: Scale) -> Iterator[Finding]:
    passed = [f for f in s.scored if f.passed]
    empty = [f for f in passed if (not f.steps and not f.calls) or ("says_nothing" in f.flags and not f.calls)]
    if empty:
        yield finding(
            scale,
            "pass_of_nothing",
            "TI",
            "A full score for a rollout that did and said nothing",
            empty,
            len(passed),
            suspect=True,
        )
    acting = [f for f in passed if f.calls]
    idle = [f for f in passed if not f.calls and f.said]
    if acting and idle and len(idle) <= 0.2 * len(passed):
        yield finding(
            scale,
            "pass_without_evidence",
            "TI",
            "A full score without a tool call, where passes rest on calls",
            idle,
            len(passed),
            suspect=True,
            confidence="medium",
        )
    wrong = [f for f in passed if "only_errors" in f.flags]
    if wrong:
        yield finding(
            scale,
            "pass_with_errors",
            "TI",
            "A full score although every tool call ended in an error",
            wrong,
            len(passed),
            suspect=True,
            confidence="medium",
        )


def _wrong_but_passed(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Where passing answers all but always equal the key, those that do not are suspects."""
    keyed = [
        f
        for f in s.scored
        if f.passed and f.answer and s.tasks[f.task].key is not None and (f.declared or not f.calls)
    ]
    odd = [
        f
        for f in keyed
        if not _alike(f.answer, plain(s.tasks[f.task].key or ""), plain(s.tasks[f.task].chosen or ""))
    ]
    right = sum(1 for f in keyed if same(f.answer, plain(s.tasks[f.task].key or "")))
    if len(odd) > 0.1 * len(keyed):
        odd = [f for f in odd if plainly_another(f.answer, plain(s.tasks[f.task].key or ""))]
        enough = right >= max(3, 0.2 * len(keyed))  # else the key is not what the answer is held against
    else:
        enough = len(keyed) >= 10
    if odd and enough:
        yield finding(
            scale,
            "wrong_answer_passed",
            "TI",
            "A full score for an answer that is not the task's key",
            odd,
            len(keyed),
            suspect=True,
            confidence="medium",
        )


def _alike(answer: str, *keys: str) -> bool:
    """One holds the other: another wording of the same."""
    return any(key and (key in answer or answer in key) for key in keys)


def _against_notes(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Full scores under a note that objects, where the notes of most passes do not."""
    passed = [f for f in s.scored if f.passed]
    won = Counter(f.note for f in passed)
    odd = [f for f in passed if _OBJECTS.search(f.note) and won[f.note] <= 0.5 * len(passed)]
    if odd and len(odd) <= 0.6 * len(passed):
        yield finding(
            scale,
            "pass_against_notes",
            "TI",
            "A full score under a verifier's note that objects",
            odd,
            len(passed),
            suspect=True,
            confidence="medium",
            details={"notes": sorted({f.note for f in odd})[:10]},
        )


def _without_the_calls(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Passes without a call that the other passes of their task made, where rollouts without it fail as a rule."""
    odd: list[Facts] = []
    lacking = {True: 0, False: 0}
    having = {True: 0, False: 0}
    for index in range(len(s.tasks)):
        rows = s.of_task(index)
        won = [f for f in rows if f.passed]
        made = Counter(call for f in won for call in f.made)
        core = {call for call, n in made.items() if n >= FEW and n >= 0.6 * len(won)}
        if not core:
            continue
        for f in rows:
            lacks = not core <= f.made
            (lacking if lacks else having)[f.passed] += 1
            if lacks and f.passed:
                odd.append(f)
    rule = lacking[False] >= FEW and lacking[True] <= 0.7 * lacking[False]
    if odd and rule and having[True] >= 0.7 * sum(having.values()):
        yield finding(
            scale,
            "pass_without_the_calls",
            "TI",
            "A full score without a call that the other passes of the task made",
            odd,
            sum(1 for f in s.scored if f.passed),
            suspect=True,
            confidence="medium" if lacking[True] <= 0.25 * lacking[False] else "low",
            details={"without_the_call": {"passed": lacking[True], "failed": lacking[False]}},
        )
