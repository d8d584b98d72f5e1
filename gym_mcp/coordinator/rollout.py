"""One expected attempt from `open_episode` to its terminal row. Nothing that goes wrong in it gets past it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gym_mcp.calls import without_tokens
from gym_mcp.client import AgentSession, EnvironmentClient, EpisodeClient, Verdict
from gym_mcp.coordinator.admission import Admission
from gym_mcp.coordinator.meter import Meter
from gym_mcp.coordinator.spans import joined, strip_tokens
from gym_mcp.errors import HarnessError, LimitReached, RolloutError, RolloutTimeout, causes, internal
from gym_mcp.harness import Harness, Limits
from gym_mcp.models.base import Model, RolloutContext
from gym_mcp.observe.stages import HARNESS, RETRY, VERIFY, Activity, Stages
from gym_mcp.observe.watched import watched_model, watched_session
from gym_mcp.seeds import episode_seed
from gym_mcp.types import Item, JSONObject, Task, Transcript

SCHEMA: Final = 1
_CLEANUP_SECONDS: Final = 15.0
_BACKOFF: Final = 0.5


@dataclass(frozen=True, slots=True)
class Arm:
    """What all rollouts of a run have in common."""

    run_id: str
    run_seed: int
    environment: str
    client: EnvironmentClient
    model: Model
    harness_name: str
    harness: Harness
    limits: Limits
    max_attempts: int
    record_calls: bool = False
    skills_ref: str | None = None
    admission: Admission = field(default_factory=Admission)
    process: str = field(default_factory=lambda: secrets.token_hex(4))
    """Part of the keys of episodes: one that a killed process left half played is not gone on with."""
    stages: Stages = field(default_factory=Stages)


@dataclass(slots=True)
class Attempt:
    """What one attempt left behind, finished or not."""

    transcript: Transcript
    meter: Meter | None = None
    verdict: Verdict | None = None
    ledger: list[JSONObject] | None = None
    error: RolloutError | None = None
    waited: float = 0.0
    """Seconds for room in the environment."""


OnRetry = Callable[[Task[Any], int, RolloutError, float], None]


async def run_rollout(
    arm: Arm, task: Task[Any], task_index: int, repeat: int, on_retry: OnRetry | None = None
) -> JSONObject:
    """The terminal row of (task, repeat): scored, or failed with its kind, after the attempts that were made."""
    started, clock = time.time(), time.monotonic()
    seed = episode_seed(arm.run_seed, task.id, repeat)
    earlier: list[JSONObject] = []
    activity = arm.stages.begin(task.id, repeat)
    waited = 0.0
    try:
        while True:
            attempt = await _attempt(arm, task, repeat, seed, len(earlier), activity)
            activity.attempted(attempt)
            waited += attempt.waited
            error = attempt.error
            if error is None or not _worth_another(error) or len(earlier) + 1 >= arm.max_attempts:
                break
            earlier.append({"kind": error.kind, "message": str(error)})
            wait = _BACKOFF * 2 ** len(earlier) * random.uniform(0.5, 1.0)
            if on_retry is not None:
                on_retry(task, repeat, error, wait)
            activity.enter(RETRY)
            await asyncio.sleep(wait)
    finally:
        activity.end()
    row = terminal_row(arm, task, task_index, repeat, seed, attempt)
    row["attempts"] = len(earlier) + 1
    if earlier:
        row["earlier_failures"] = earlier
    row["timing"] = {
        "started": started,
        "seconds": round(time.monotonic() - clock, 6),
        "model_seconds": round(attempt.meter.seconds, 6) if attempt.meter else 0.0,
        "tool_seconds": round(sum(e["end"] - e["start"] for e in row["ledger"]), 6),
    }
    if waited:
        row["timing"]["waited_seconds"] = round(waited, 6)
    return row


def failed_row(
    arm: Arm, task: Task[Any], task_index: int, repeat: int, error: RolloutError, attempts: int
) -> JSONObject:
    """The terminal row of a rollout that left nothing behind but its failure."""
    seed = episode_seed(arm.run_seed, task.id, repeat)
    row = terminal_row(arm, task, task_index, repeat, seed, Attempt(Transcript(), error=error))
    timing = {"started": time.time(), "seconds": 0.0, "model_seconds": 0.0, "tool_seconds": 0.0}
    return {**row, "attempts": attempts, "timing": timing}


def _worth_another(error: RolloutError) -> bool:
    """A model's failure is not: its client has made its retries already, and they would multiply."""
    return error.retryable and error.kind != "model"


async def _attempt(arm: Arm, task: Task[Any], repeat: int, seed: int, number: int, activity: Activity) -> Attempt:
    attempt = Attempt(Transcript())
    activity.begin(number)
    episode: EpisodeClient | None = None
    deadline = asyncio.timeout(arm.limits.seconds)
    try:
        async with deadline:
            key = f"{arm.run_id}/{arm.process}/{task.id}/{repeat}/{number}"
            episode, attempt.waited = await arm.admission.open(arm.client, task, seed, key, deadline)
            activity.enter(HARNESS)
            model = arm.model.for_rollout(RolloutContext(task, repeat, seed, episode))
            attempt.meter = Meter(watched_model(model, activity), arm.limits, activity)
            if arm.record_calls:
                attempt.meter.record_calls()
            attempt.transcript = await _run_harness(arm, watched_session(episode.agent, activity), attempt.meter)
            activity.enter(VERIFY)
            attempt.verdict = await episode.verify(attempt.transcript)
            return attempt
    except asyncio.CancelledError:
        if episode is not None:
            await _quietly(episode.close())
        raise
    except Exception as e:
        attempt.error = _failure(e, deadline, arm.limits)
    if attempt.meter is not None and not attempt.transcript.items:
        attempt.transcript.items = attempt.meter.output
        if attempt.meter.facts is not None and not attempt.transcript.facts:
            with contextlib.suppress(Exception):  # a harness's own code
                attempt.transcript.facts = attempt.meter.facts()
    if episode is not None:
        attempt.ledger = await _salvage(episode)
    return attempt


def _failure(error: Exception, deadline: asyncio.Timeout, limits: Limits) -> RolloutError:
    if deadline.expired():  # whatever came up on the way out
        return RolloutTimeout(f"not finished after {limits.seconds:g} s")
    if isinstance(error, RolloutError):
        return error
    # A bug of ours must not take the other rollouts with it.
    return internal(error)


async def _run_harness(arm: Arm, session: AgentSession, meter: Meter) -> Transcript:
    """The harness's transcript; a crash of it is a `HarnessError`, other owners' errors pass through wrappers."""
    name = arm.harness_name
    try:
        transcript: Any = await arm.harness.run(session, meter, arm.limits)
    except RolloutError:
        raise
    except LimitReached as limit:
        return Transcript(meter.output, stop=limit.reason)
    except asyncio.CancelledError as e:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise HarnessError(f"harness {name} cancelled itself", detail=traceback.format_exc()) from e
    except (Exception, SystemExit) as e:
        for cause in causes(e):
            if isinstance(cause, RolloutError):
                raise cause from None
            if isinstance(cause, LimitReached):
                return Transcript(meter.output, stop=cause.reason)
        text = " ".join(str(e).split())[:300]
        message = f"harness {name} raised {type(e).__name__}: {text}"
        raise HarnessError(message, detail=traceback.format_exc()) from e
    if not isinstance(transcript, Transcript) or not all(isinstance(item, dict) for item in transcript.items):
        raise HarnessError(f"harness {name} returned {transcript!r:.100}, which is no Transcript of items")
    return transcript


async def _salvage(episode: EpisodeClient) -> list[JSONObject] | None:
    """The ledger of a failed attempt, and its episode closed; neither may cost more than some seconds."""
    ledger: list[JSONObject] | None = await _quietly(episode.ledger())
    await _quietly(episode.close())
    return ledger


async def _quietly(step: Awaitable[Any]) -> Any:
    with contextlib.suppress(Exception):  # the attempt's outcome is settled already
        async with asyncio.timeout(_CLEANUP_SECONDS):
            return await step
    return None


def terminal_row(
    arm: Arm, task: Task[Any], task_index: int, repeat: int, seed: int, attempt: Attempt
) -> JSONObject:
    """What `docs/runs.md` calls a rollout row, with one attempt and no timing yet."""
    error, verdict = attempt.error, attempt.verdict
    reward = verdict.reward if verdict else None
    failure: JSONObject | None = None
    if error is not None:
        failure = {"kind": error.kind, "message": str(error)}
        if error.detail:
            failure["detail"] = error.detail
    ledger = (verdict.ledger if verdict else attempt.ledger) or []
    spans = joined(attempt.transcript.spans, ledger)
    if attempt.meter is not None and attempt.meter.recorder is not None:
        strip_tokens(spans)
    return {
        "schema": SCHEMA,
        "rollout_id": f"{arm.run_id}/{task.id}/{repeat}",
        "environment": arm.environment,
        "task_id": task.id,
        "task_index": task_index,
        "repeat": repeat,
        "seed": seed,
        "harness": arm.harness_name,
        "model": arm.model.spec,
        **({"skills_ref": arm.skills_ref} if arm.skills_ref else {}),
        "outcome": "failed" if error else "scored",
        "failure": failure,
        "attempts": 1,
        "reward": reward.score if reward else None,
        "components": reward.components if reward else {},
        "notes": reward.notes if reward else "",
        **({"answer": reward.answer} if reward and reward.answer is not None else {}),
        "response": {"output": _output(attempt), "stop": attempt.transcript.stop},
        "ledger": ledger,
        "usage": attempt.meter.as_json() if attempt.meter else None,
        **({"judge_usage": verdict.judge_usage} if verdict and verdict.judge_usage else {}),
        **(attempt.meter.recorder.as_json() if attempt.meter and attempt.meter.recorder else {}),
        **({"spans": spans} if spans else {}),
        **({"harness_facts": attempt.transcript.facts} if attempt.transcript.facts else {}),
    }


def _output(attempt: Attempt) -> list[Item]:
    """The transcript's items. Token ids that an endpoint put on them stand in `calls`, once."""
    items = attempt.transcript.items
    return items if attempt.meter is None or attempt.meter.recorder is None else list(map(without_tokens, items))
