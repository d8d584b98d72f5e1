"""Author code that scores, of one episode or of a task's whole group: whose failure it is, what its judge used."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from gym_mcp.bounded import Runner, TimeUp
from gym_mcp.client import GroupVerdict
from gym_mcp.environment import Environment
from gym_mcp.errors import JudgeError, VerifierError, one_line
from gym_mcp.judge import Hearing, hearing
from gym_mcp.reward import check_reward
from gym_mcp.types import GroupRollout, Task

_JUDGED_TIMEOUT: Final = 900.0
"""Seconds for a `verify` that asks a judge: an endpoint's retries take their time."""


async def hear(
    cls: type[Environment[Any]], run: Runner, about: Hearing, function: Callable[..., Any], *args: Any, name: str
) -> Any:
    """What the author's `verify` or `verify_group` (`name`) returned; `about` gets what its judge used.

    Raises `JudgeError` when the judge could not be reached, `VerifierError` for everything else that goes wrong.
    """
    name = f"{cls.name}.{name}"
    limit = max(cls.call_timeout, _JUDGED_TIMEOUT if cls.judge.spec is not None else 0.0)
    token = hearing.set(about)
    try:
        return await run(function, *args, timeout=limit)
    except (JudgeError, VerifierError):
        raise
    except TimeUp:
        raise VerifierError(f"{name} took longer than {limit:g} s") from None
    except Exception as e:
        raise VerifierError(f"{name} raised {one_line(e)}", detail=traceback.format_exc()) from None
    finally:
        hearing.reset(token)


async def verify_group(
    cls: type[Environment[Any]], task: Task[Any], rollouts: Sequence[GroupRollout]
) -> GroupVerdict:
    """Score the rollouts of one task together. Raises `VerifierError` or `JudgeError`."""
    if not rollouts:
        return GroupVerdict([])
    ordered = sorted(rollouts, key=lambda r: r.repeat)  # whatever ended first
    run, heard, name = Runner(cls), Hearing(task.id), "verify_group"
    found = await hear(cls, run, heard, cls.verify_group, task, ordered, name=name)
    if not isinstance(found, Iterable):
        raise VerifierError(f"{cls.name}.verify_group returned {found!r:.200}, which is no list")
    values = await hear(cls, run, heard, list, found, name=name)  # it may be a generator, author code too
    if len(values) != len(ordered):
        raise VerifierError(f"{cls.name}.verify_group returned {len(values)} scores for {len(ordered)} rollouts")
    rewards = {r.repeat: check_reward(cls, v) for r, v in zip(ordered, values, strict=True)}
    return GroupVerdict([rewards[r.repeat] for r in rollouts], heard.judge_usage)
