"""Rewards that the rows do not support: wrong keys, flaky or partial verifiers, passes without evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from gym_mcp.diagnosis.answers import dress, plain
from gym_mcp.diagnosis.behaviour import stock_answers
from gym_mcp.diagnosis.facts import Facts
from gym_mcp.diagnosis.finding import Finding, Scale, finding
from gym_mcp.diagnosis.scan import Scan

AGREE: Final = 0.6
"""Share of a task's rollouts that give one answer, from which on they agree."""


def scoring(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Suspects: read the rollouts before believing either side."""
    yield from _same_but_scored_apart(s, scale)
    yield from _right_but_failed(s, scale)
    yield from _agreeing_failures(s, scale)
    yield from _oracle(s, scale)
    yield from _evidence(s, scale)
    yield from _wrong_but_passed(s, scale)


def _same_but_scored_apart(s: Scan, scale: Scale) -> Iterator[Finding]:
    shown: list[Facts] = []
    answers: list[Facts] = []
    for index in range(len(s.tasks)):
        rows = s.of_task(index)
        transcripts: dict[tuple[int, ...], list[Facts]] = {}
        given: dict[str, list[Facts]] = {}
        for f in rows:
            if f.steps:
                transcripts.setdefault(f.steps, []).append(f)
            if f.answer and (f.declared or not f.calls):
                given.setdefault(f.answer, []).append(f)
        apart = [f for g in transcripts.values() if len({f.reward for f in g}) > 1 for f in g]
        shown += apart
        if not apart:
            answers += [f for g in given.values() if len({f.passed for f in g}) > 1 for f in g]
    if shown:
        yield finding(
            scale,
            "same_transcript_different_reward",
            "TI",
            "The same transcript got different rewards",
            shown,
            len(s.tasks),
            unit="tasks",
            suspect=True,
            advice="a verifier that is not a function of the episode, or state that the transcript does not show",
        )
    if answers:
        yield finding(
            scale,
            "same_answer_different_reward",
            "TI",
            "The same answer in another dress got a different reward",
            answers,
            len(s.tasks),
            unit="tasks",
            suspect=True,
            confidence="medium",
            details=_by_dress([f for f in answers if f.failing], [f for f in answers if f.passed]),
        )


def _right_but_failed(s: Scan, scale: Scale) -> Iterator[Finding]:
    failed: list[Facts] = []
    passed: list[Facts] = []
    for f in s.scored:
        key = s.tasks[f.task].key
        if key is not None and f.answer and f.answer == plain(key):
            (passed if f.passed else failed).append(f)
    if failed:
        yield finding(
            scale,
            "right_answer_failed",
            "TI",
            "The answer equals the task's own key and did not pass",
            failed,
            len(failed) + len(passed),
            suspect=True,
            confidence="high" if any(f.declared for f in failed) or passed else "medium",
            details=_by_dress(failed, passed),
            advice="a format that the verifier does not read: repair it, or tell the agent the format",
        )


def _by_dress(failed: list[Facts], passed: list[Facts]) -> dict[str, object]:
    """For each trait of format: how many of the right answers with it failed, and how many passed."""
    lost, won = Counter[str](), Counter[str]()
    for counter, rows in ((lost, failed), (won, passed)):
        for f in rows:
            counter.update(dress(f.dress_of))
    return {"formats": {name: {"failed": n, "passed": won[name]} for name, n in sorted(lost.items())}}


def _agreeing_failures(s: Scan, scale: Scale) -> Iterator[Finding]:
    stock = stock_answers(s)
    shown: list[Facts] = []
    agreed: dict[str, str] = {}
    # Two that agree say little, unless the run passes most tasks.
    rate = sum(f.passed for f in s.scored) / max(1, len(s.scored))
    least = 2 if rate >= 0.5 and s.run.sheet.repeats == 2 else 3
    for index, task in enumerate(s.tasks):
        rows = s.of_task(index)
        if len(rows) < least or any(f.passed for f in rows):
            continue
        given = Counter(
            f.answer for f in rows if f.answer and f.answer not in stock and not (f.calls and not f.declared)
        )
        if not given:
            continue
        answer, most = min(given.items(), key=lambda kv: (-kv[1], kv[0]))
        if (
            most >= least
            and most / len(rows) >= AGREE
            and not (task.key is not None and plain(task.key) == answer)
        ):
            shown += [f for f in rows if f.answer == answer]
            agreed[task.id] = answer
    if shown:
        tried = sum(1 for i in range(len(s.tasks)) if len(s.of_task(i)) >= least)
        yield finding(
            scale,
            "never_pass_agreeing",
            "DA",
            "No rollout passes, and they agree on another answer than the key",
            shown,
            tried,
            unit="tasks",
            suspect=True,
            confidence="medium" if least > 2 else "low",
            details={"answers": dict(sorted(agreed.items())[:20])},
            advice="check the key of these tasks by hand: a wrong key, or an error that the agent always makes",
        )


def _oracle(s: Scan, scale: Scale) -> Iterator[Finding]:
    if not str(s.run.manifest["model"]["spec"]).startswith("builtin/oracle"):
        return
    rows = [f for f in s.scored if f.failing]
    if rows:
        yield finding(
            scale,
            "oracle_fails",
            "TI",
            "The environment's own reference solution does not pass",
            rows,
            len(s.scored),
            suspect=True,
        )


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
    if odd and len(keyed) >= 10 and len(odd) <= 0.1 * len(keyed):
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
