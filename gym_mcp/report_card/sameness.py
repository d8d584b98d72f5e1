"""Checks that an episode depends on its task and seed alone: replayed, elsewhere, and among others."""

from __future__ import annotations

import asyncio
import math

from gym_mcp.report_card.card import Check, counted, fail, ok
from gym_mcp.report_card.elsewhere import Unreachable, fingerprints_elsewhere
from gym_mcp.report_card.exam import Exam
from gym_mcp.report_card.play import Trace, perform, repeat


async def group(exam: Exam) -> Check:
    """A group's scores do not depend on the order in which its rollouts ended."""
    tasks = exam.sample()
    for task in tasks:
        seed = exam.episode_seed(task)
        traces = [await exam.trace(task), await exam.nothing(task)]
        traces += [await repeat(exam.client, task, seed, answer) for answer in ("A", "0")]
        first = await exam.grouped(task, traces)
        turned = (await exam.grouped(task, traces[::-1]))[::-1]
        for a, b in zip(first, turned, strict=True):
            if not math.isclose(a.score, b.score, abs_tol=1e-9):
                seen = [(task.id, f"{a.score} and {b.score} for the same rollout")]
                return fail("group", "the order of a group changes its scores", seen)
    return ok("group", f"groups score the same in any order ({counted(len(tasks), 'task')})")


async def replay(exam: Exam) -> Check:
    """The actions of a play, made in a fresh episode, bring the same results and the same reward."""
    differ: list[tuple[str, str]] = []
    tasks = exam.sample()
    for task in tasks:
        first = await exam.trace(task)
        again = await perform(exam.client, task, exam.episode_seed(task), first.script)
        if again.outline() != first.outline():
            differ.append((task.id, difference(first, again)))
    if differ:
        return fail("replay", f"a replay ends differently on {len(differ)} of {len(tasks)} tasks", differ)
    return ok("replay", f"replays give the same results and reward ({counted(len(tasks), 'task')})")


async def seed(exam: Exam) -> Check:
    """One seed gives one episode: prompt, tools, results and reward, here and in another process."""
    tasks = exam.sample(10)
    for task in tasks:
        first, again = await exam.trace(task), await exam.play(task)
        if again.outline() != first.outline():
            evidence = [(task.id, difference(first, again))]
            return fail("seed", "two episodes of one seed differ: draw random numbers from self.rng", evidence)
    here = {task.id: (await exam.trace(task)).fingerprint() for task in tasks}
    try:
        there = await fingerprints_elsewhere(exam.cls, tasks, exam.seed)
    except Unreachable as e:
        return ok("seed", f"one seed gives one episode here; not tried in another process: {e}")
    differ = [
        (name, "another prompt, tools, results or reward there") for name in here if there.get(name) != here[name]
    ]
    if differ:
        return fail("seed", "an episode differs in another process: hash order, time or files?", differ)
    return ok("seed", f"one seed gives one episode, in another process too ({counted(len(tasks), 'task')})")


async def interleaved(exam: Exam) -> Check:
    """Episodes played in turns end as they do one after the other."""
    tasks = exam.sample(exam.effort.interleaved)
    alone: list[Trace] = []
    plays: list[tuple[int, int]] = []
    most = exam.cls.max_live or exam.effort.interleaved
    if most == 1:
        return ok("interleaved", "not tried: the environment holds one episode at a time (max_live)")
    for i in exam.budget(min(most, exam.effort.interleaved), least=min(most, 4)):
        plays.append((i % len(tasks), i // len(tasks)))
        alone.append(await exam.play(tasks[plays[i][0]], plays[i][1]))
    together = await asyncio.gather(
        *(
            perform(exam.client, trace.task, exam.episode_seed(trace.task, turn), trace.script, pause=True)
            for trace, (_, turn) in zip(alone, plays, strict=True)
        )
    )
    pairs = list(zip(alone, together, strict=True))
    differ = [(a.task.id, difference(a, b)) for a, b in pairs if a.outline() != b.outline()]
    if differ:
        reason = f"{len(differ)} of {len(pairs)} episodes end differently when others run: state on the class?"
        return fail("interleaved", reason, differ)
    return ok("interleaved", f"{len(pairs)} episodes in turns end as they do one by one")


def difference(first: Trace, second: Trace) -> str:
    """The first thing in which two plays differ, in words."""
    for a, b in zip(first.events, second.events, strict=False):
        if a.action != b.action:
            return f"the solution does {a.action!r:.80}, then {b.action!r:.80}"
        if a.heard != b.heard:
            return f"{a.action!r:.80} brought {a.heard!r:.80}, then {b.heard!r:.80}"
    if len(first.events) != len(second.events):
        return f"{len(first.events)} actions, then {len(second.events)}"
    if first.tools != second.tools:
        return "the tools differ"
    if first.reward != second.reward:
        return f"reward {first.reward!r:.120}, then {second.reward!r:.120}"
    return "the ledgers differ"
