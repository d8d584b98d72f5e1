"""Checks of the reward: the solution gets the best, agents that do nothing useful get no more than the floor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any, Final

from gym_mcp.environment import Environment
from gym_mcp.report_card.card import Check, counted, fail, ok, skip
from gym_mcp.report_card.exam import Exam
from gym_mcp.report_card.play import Event, Trace, repeat
from gym_mcp.types import Reward, Transcript

CONSTANTS: Final = ("", "A", "0", "yes", "I do not know")
NO_SOLUTION: Final = "no solution(): write one, and every task is proven solvable"
_TOLERANCE: Final = 1e-9


def best(cls: type[Environment[Any]]) -> float:
    """The best reward that there is."""
    return cls.reward_range[1 if cls.higher_is_better else 0]


def above_floor(cls: type[Environment[Any]], score: float) -> bool:
    """Whether `score` is better than what doing nothing may get."""
    return (score - cls.floor if cls.higher_is_better else cls.floor - score) > _TOLERANCE


async def oracle(exam: Exam) -> Check:
    """The solution gets the best reward on every task."""
    if not exam.cls.has("solution"):
        return skip("oracle", NO_SOLUTION)
    top = best(exam.cls)
    short: list[tuple[str, str]] = []
    for task in exam.tasks:
        trace = await exam.trace(task)
        reward = (await exam.against_nothing(task))[0] if exam.cls.has("verify_group") else trace.reward
        score = reward.score
        reached = (
            math.isclose(score, top, abs_tol=_TOLERANCE) if math.isfinite(top) else above_floor(exam.cls, score)
        )
        if not reached:
            short.append((task.id, f"reward {score:g}{_why(trace, reward)}"))
    goal = f"{top:g}" if math.isfinite(top) else "more than the floor"
    if short:
        return fail(
            "oracle", f"solution() gets less than {goal} on {len(short)} of {len(exam.tasks)} tasks", short
        )
    return ok("oracle", f"solution() gets {goal} on {counted(len(exam.tasks), 'task')}")


def _why(trace: Trace, reward: Reward) -> str:
    errors = [f"{e['name']} said: {e['result']}" for e in trace.ledger if e["error"]]
    parts = [reward.notes, errors[0] if errors else ""]
    return "".join(f"; {part}" for part in parts if part)


async def null(exam: Exam) -> Check:
    """An agent that does and says nothing gets no more than the floor on any task."""
    over: list[tuple[str, str]] = []
    for task in exam.tasks:
        grouped = exam.cls.has("verify_group")
        reward = (await exam.against_nothing(task))[1] if grouped else (await exam.nothing(task)).reward
        if above_floor(exam.cls, reward.score):
            over.append((task.id, f"reward {reward.score:g} for nothing"))
    floor = f"the floor of {exam.cls.floor:g}"
    if over:
        return fail("null", f"doing nothing beats {floor} on {len(over)} of {len(exam.tasks)} tasks", over)
    return ok("null", f"doing nothing stays at {floor} on {counted(len(exam.tasks), 'task')}")


async def constants(exam: Exam) -> Check:
    """No answer that ignores the task beats the floor on average."""
    tasks = exam.sample(200)
    beats: list[tuple[str, str]] = []
    for answer in CONSTANTS:
        scores: list[float] = []
        for i in exam.budget(len(tasks)):
            trace = await repeat(exam.client, tasks[i], exam.episode_seed(tasks[i]), answer)
            scores.append(trace.reward.score)
        if above_floor(exam.cls, fmean(scores)):
            beats.append(("", f"{answer!r} gets {fmean(scores):.3g} on average of {counted(len(scores), 'task')}"))
    if beats:
        return fail("constants", f"a constant answer beats the floor of {exam.cls.floor:g}", beats)
    return ok("constants", f"{', '.join(map(repr, CONSTANTS))} stay at the floor on average")


async def snapshot(exam: Exam) -> Check:
    """After a snapshot, any play and a restore, the episode plays as if nothing had happened."""
    checked = 0
    for task in exam.sample(5):
        trace = await exam.trace(task)
        try:
            problem = await _branch(exam, trace)
        except Exception as e:  # deepcopy of foreign objects raises what it likes
            if exam.cls.has("snapshot"):
                return fail("snapshot", f"snapshot() or restore() raised {type(e).__name__}", [(task.id, str(e))])
            return skip(
                "snapshot", f"the state cannot be copied ({type(e).__name__}): write snapshot() and restore()"
            )
        if problem:
            return fail("snapshot", "restore() does not take the episode back", [(task.id, problem)])
        checked += 1
    return ok("snapshot", f"restored episodes play the same ({counted(checked, 'task')})")


async def _branch(exam: Exam, trace: Trace) -> str:
    """Play, go back, play again; how the second play differs from the one that nothing preceded."""
    store = exam.client.store
    episode = await store.open(trace.task, exam.episode_seed(trace.task))
    try:
        saved = episode.environment.snapshot()
        await _again(exam, episode.handle, trace.events)
        if episode.broken is not None:
            raise episode.broken
        episode.environment.restore(saved)
        problem = await _again(exam, episode.handle, trace.events)
        if problem:
            return problem
        reward = await episode.verify(Transcript(list(trace.transcript.items)))
        return "" if reward == trace.reward else f"reward {reward.score:g}, {trace.reward.score:g} at first"
    finally:
        await store.close(episode.handle)


async def _again(exam: Exam, handle: str, events: Sequence[Event]) -> str:
    episode = exam.client.store.get(handle)
    for event in events:
        action = event.action
        if isinstance(action, str):
            heard = await episode.reply(action) if exam.cls.has("reply") else None
        else:
            heard = (await episode.call(action.name, action.arguments)).text
        if heard != event.heard:
            return f"{action!r} brought {heard!r:.100}, {event.heard!r:.100} at first"
    return ""
