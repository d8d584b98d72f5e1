"""What agents do that costs them the score, whatever they know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from gym_mcp.diagnosis.answers import plain
from gym_mcp.diagnosis.facts import Facts
from gym_mcp.diagnosis.finding import Finding, Scale, finding
from gym_mcp.diagnosis.scan import Scan

ENOUGH: Final = 5
NEARLY_ALL: Final = 0.8
_FLAGS: Final = (
    ("loop", "The same call, or the same short cycle of calls, three times in a row or more"),
    ("arguments", "Calls whose arguments did not fit the tool"),
    ("unknown_tool", "Calls of tools that do not exist"),
    ("refusal", "The agent declined"),
    ("says_nothing", "The agent never said anything"),
    ("unread_answer", "The agent said something, and the verifier found no answer in it"),
    ("ends_midway", "The agent's last words break off: a brace or a fence that they open is never closed"),
    ("babble", "The agent's last words are a few words again and again"),
    ("ends_in_error", "The last call ended in an error, and the agent stopped there"),
)
_STOPS: Final = {
    "max_turns": ("budget_turns", "The agent ran out of turns"),
    "max_tokens": ("budget_tokens", "The agent ran out of tokens"),
    "max_cost": ("budget_cost", "The agent ran out of money"),
    "max_steps": ("budget_steps", "The graph reached its recursion limit"),
    "max_output_tokens": ("truncated", "The model's answer was cut at its output limit"),
    "content_filter": ("content_filter", "The endpoint's content filter cut the answer"),
}


def behaviour(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Findings among scored rollouts; `details` say how those that show it fare against the others."""
    scored = s.scored
    for flag, title in _FLAGS:
        rows = [f for f in scored if flag in f.flags]
        if flag == "says_nothing" and s.uses_tools:
            rows = [f for f in rows if not f.calls]
        if rows:
            yield finding(scale, flag, "BI", title, rows, len(scored), details=_fare(rows, scored))
    for stop, (kind, title) in _STOPS.items():
        rows = [f for f in scored if f.stop == stop]
        if rows:
            yield finding(
                scale, kind, "BI", title, rows, len(scored), details={"stop": stop, **_fare(rows, scored)}
            )
    if s.uses_tools:
        acting = sum(1 for f in scored if f.passed and f.calls)
        rows = [f for f in scored if f.failing and not f.calls and "refusal" not in f.flags]
        if acting and rows:
            yield finding(
                scale,
                "no_attempt",
                "BI",
                "The agent failed without calling any tool, where those that pass call some",
                rows,
                len(scored),
                details={"passing_with_calls": acting},
            )
    yield from _stock(s, scale)
    yield from _one_answer(s, scale)
    yield from _copies(s, scale)


def stock_answers(s: Scan) -> set[str]:
    """Answers given in several tasks that passed in none: `I give up` is no answer to agree on."""
    tasks: dict[str, set[int]] = {}
    passed: set[str] = set()
    for f in s.scored:
        if f.answer:
            tasks.setdefault(f.answer, set()).add(f.task)
            if f.passed:
                passed.add(f.answer)
    return {a for a, where in tasks.items() if len(where) >= 3 and a not in passed and " " in a}


def _stock(s: Scan, scale: Scale) -> Iterator[Finding]:
    stock = stock_answers(s)
    rows = [f for f in s.scored if f.answer in stock]
    if rows:
        yield finding(
            scale,
            "stock_answer",
            "BI",
            "The agent says the same words in several tasks, and they never pass",
            rows,
            len(s.scored),
            details={"answers": sorted(stock)[:10]},
        )


def _one_answer(s: Scan, scale: Scale) -> Iterator[Finding]:
    """One answer nearly everywhere, where the keys are several."""
    given = [f for f in s.scored if f.answer and (f.declared or not f.calls) and s.tasks[f.task].key is not None]
    tasks = {f.task for f in given}
    if len(tasks) < ENOUGH or len({plain(s.tasks[t].key or "") for t in tasks}) < 3:
        return
    counts = Counter(f.answer for f in given)
    answer, most = min(counts.items(), key=lambda kv: (-kv[1], kv[0]))
    rows = [f for f in given if f.answer == answer]
    if most >= NEARLY_ALL * len(given):
        title = "The agent gives the same answer to nearly every task"
        yield finding(scale, "one_answer", "BI", title, rows, len(s.scored), details={"answer": answer})


def copied_repeats(s: Scan) -> list[int]:
    """Repeats that are copies of an earlier one in every task."""
    n = s.run.sheet.repeats
    tasks = [rows for i in range(len(s.tasks)) if len(rows := s.of_task(i)) == n and all(f.steps for f in rows)]
    if n < 2 or len(tasks) < ENOUGH or len({f.passed for f in s.scored}) < 2:
        return []
    pairs = [(a, b) for b in range(min(n, 16)) for a in range(b)]
    alike = {(a, b): sum(rows[a].steps == rows[b].steps for rows in tasks) for a, b in pairs}
    copies = [pair for pair in pairs if alike[pair] == len(tasks)]
    # Short answers are alike by chance: copies are odd where all are alike, or where the other pairs are not.
    others = [alike[pair] for pair in pairs if pair not in copies]
    return sorted({b for _, b in copies}) if not others or max(others) <= 0.8 * len(tasks) else []


def _copies(s: Scan, scale: Scale) -> Iterator[Finding]:
    copies = copied_repeats(s)
    if copies:
        yield finding(
            scale,
            "repeats_identical",
            "IR",
            "Repeats are copies of one another in every task: one seed, one cache or no randomness",
            [f for f in s.scored if f.repeat in copies],
            len(s.scored),
            confidence="medium",
            details={"copies": copies},
            advice="count such repeats once: intervals and pass@k take them for new tries",
        )


def _fare(rows: list[Facts], scored: list[Facts]) -> dict[str, object]:
    with_it = sum(1 for f in rows if f.passed)
    mine = {id(f) for f in rows}
    others = [f for f in scored if id(f) not in mine]
    without = sum(1 for f in others if f.passed)
    return {"passed": with_it, "of": len(rows), "others_passed": without, "others": len(others)}
