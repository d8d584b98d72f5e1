"""Rewards that the rows do not support: wrong keys, flaky or partial verifiers, passes without evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from gym_mcp.diagnosis.answers import dress, plain, same
from gym_mcp.diagnosis.behaviour import copied_repeats, stock_answers
from gym_mcp.diagnosis.facts import Facts
from gym_mcp.diagnosis.finding import Finding, Scale, finding
from gym_mcp.diagnosis.scan import Scan

AGREE: Final = 0.6
"""Share of a task's rollouts that give one answer, from which on they agree."""
TRUSTED: Final = 0.7
"""Share of the tasks with agreeing rollouts that pass, from which on agreement speaks against a key."""


def scoring(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Suspects: read the rollouts before believing either side."""
    yield from _same_but_scored_apart(s, scale)
    yield from _right_but_failed(s, scale)
    yield from _agreeing_failures(s, scale)
    yield from _oracle(s, scale)


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
    worded: list[Facts] = []
    for f in s.scored:
        key, chosen = s.tasks[f.task].key, s.tasks[f.task].chosen
        if key is None or not f.answer:
            continue
        if same(f.answer, plain(key)):
            (passed if f.passed else failed).append(f)
        elif chosen is not None and f.answer == plain(chosen):
            worded.append(f)
    if any(f.passed for f in worded):  # the verifier takes the text of an option for its letter
        failed += [f for f in worded if f.failing]
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
    agreeing: list[tuple[list[Facts], bool, str, str]] = []
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
            agreeing.append(([f for f in rows if f.answer == answer], most == given.total(), task.id, answer))
    if agreeing:
        tried = sum(1 for i in range(len(s.tasks)) if len(s.of_task(i)) >= least)
        # An agent may err in unison: that speaks against a key where unison is right as a rule, and it is whole.
        trusted = _agreement_is_right(s, least) >= TRUSTED and not copied_repeats(s)
        whole = [a for a in agreeing if a[1]]
        trusted = trusted and bool(whole) and least > 2
        shown = [f for rows, *_ in (whole if trusted else agreeing) for f in rows]
        agreed = {task: answer for _, _, task, answer in (whole if trusted else agreeing)}
        yield finding(
            scale,
            "never_pass_agreeing",
            "DA",
            "No rollout passes, and they agree on another answer than the key",
            shown,
            tried,
            unit="tasks",
            suspect=trusted,
            confidence="medium" if trusted else "low",
            details={"answers": dict(sorted(agreed.items())[:20])},
            advice="check the key of these tasks by hand: a wrong key, or an error that the agent always makes",
        )


def _agreement_is_right(s: Scan, least: int) -> float:
    """Of the tasks whose rollouts agree, how many agree on what passes: an agent may err in unison."""
    right = tasks = 0
    for index in range(len(s.tasks)):
        rows = s.of_task(index)
        given = Counter(f.answer for f in rows if f.answer and (f.declared or not f.calls))
        if len(rows) < least or not given:
            continue
        answer, most = min(given.items(), key=lambda kv: (-kv[1], kv[0]))
        if most >= least and most / len(rows) >= AGREE:
            tasks += 1
            right += any(f.passed for f in rows if f.answer == answer)
    return right / tasks if tasks else 0.0


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
