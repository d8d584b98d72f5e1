"""What each rollout in flight is doing now. Always kept, so it costs some attribute writes a step and no more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nlargest, nsmallest
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any, Final

from gym_mcp.observe import current
from gym_mcp.types import JSONObject

if TYPE_CHECKING:
    from gym_mcp.coordinator.rollout import Attempt
    from gym_mcp.observe.numbers import Numbers

OPEN: Final = "open"
HARNESS: Final = "harness"
VERIFY: Final = "verify"
RETRY: Final = "retry"
MODEL: Final = "model"
TOOL: Final = "tool"
LIMIT: Final = "limit"
STAGES: Final = (OPEN, LIMIT, MODEL, TOOL, HARNESS, VERIFY, RETRY)
"""`limit`: waits for the endpoint's limit; `retry`: waits before another try; `harness`: the agent works."""
SLOWEST: Final = 10
"""Rollouts that a report names."""
_LONGEST: Final = 200
"""Characters of a task's id that a report holds."""


class Step:
    """A part of a rollout with a beginning and an end. Made for watchers only."""

    __slots__ = (
        "activity", "answer", "arguments", "at", "caller", "error", "kind", "name", "request", "seconds", "seq",
        "size", "span",
    )  # fmt: skip

    def __init__(self, activity: Activity, kind: str, name: str = "") -> None:
        self.activity = activity
        self.kind = kind
        self.name = name
        self.at = time_ns()
        self.seconds = 0.0
        self.error: BaseException | None = None
        self.seq = -1
        self.caller = ""
        self.request: Any = None
        self.size = 0
        """Items of the request: harnesses pass their own, growing lists."""
        self.arguments: JSONObject = {}
        self.answer: Any = None
        """The `Response` of a model call, the `ToolResult` of a tool call, None when none came."""
        self.span: Any = None
        """Whatever the tracer keeps."""


class Watcher:
    """Hears of every step of every rollout, on the event loop. It must be quick and must not raise."""

    def attempt_started(self, activity: Activity) -> None:
        return None

    def attempt_ended(self, activity: Activity, attempt: Attempt | None) -> None:
        """`attempt` is None when the rollout was given up."""
        return None

    def step_started(self, step: Step) -> None:
        return None

    def step_ended(self, step: Step) -> None:
        return None


class Activity:
    """One rollout in flight. A harness may have several calls at once, so calls are counted, not remembered."""

    __slots__ = (
        "attempt", "attempting", "held", "models", "phase", "repeat", "since", "span", "stages", "started", "step",
        "task_id", "tools", "turn", "waits",
    )  # fmt: skip

    def __init__(self, stages: Stages, task_id: str, repeat: int) -> None:
        self.stages = stages
        self.task_id = task_id
        self.repeat = repeat
        self.started = self.since = monotonic()
        self.attempt = 0
        self.turn = 0
        self.phase = OPEN
        self.models = self.tools = 0
        self.held = 0
        """Model calls that wait for the endpoint's limit."""
        self.waits = 0
        """Model calls that wait before another try."""
        self.step: Step | None = None
        self.span: Any = None
        """Whatever the tracer keeps."""
        self.attempting = False

    @property
    def stage(self) -> str:
        """What it is doing now."""
        if self.phase is not HARNESS:
            return self.phase
        if self.tools:
            return TOOL
        if not self.models:
            return HARNESS
        if self.held >= self.models:
            return LIMIT
        return RETRY if self.waits >= self.models else MODEL

    def begin(self, attempt: int) -> None:
        """An attempt begins with the opening of its episode."""
        self.attempt = attempt
        self.turn = self.models = self.tools = self.held = self.waits = 0
        if self.stages.watchers:
            self.attempting = True
            for watcher in self.stages.watchers:
                watcher.attempt_started(self)
        self.enter(OPEN)

    def enter(self, phase: str) -> None:
        self.phase = phase
        self.since = monotonic()
        if self.stages.watchers:
            self._end_step(None)
            if phase in (OPEN, VERIFY):
                self.step = self.start(phase)

    def start(self, kind: str, name: str = "") -> Step:
        """A step for the watchers."""
        step = Step(self, kind, name)
        for watcher in self.stages.watchers:
            watcher.step_started(step)
        return step

    def finish(self, step: Step, error: BaseException | None = None) -> None:
        step.seconds = (time_ns() - step.at) / 1e9
        step.error = error
        for watcher in self.stages.watchers:
            watcher.step_ended(step)

    def _end_step(self, error: BaseException | None) -> None:
        step, self.step = self.step, None
        if step is not None:
            self.finish(step, error)

    def called(self) -> None:
        """A model call begins."""
        self.stages.model_calls += 1
        self.turn += 1
        self.models += 1
        self.since = monotonic()
        current.activity.set(self)

    def hold(self) -> None:
        """A model call waits for the endpoint's limit."""
        self.held += 1
        self.since = monotonic()

    def go_on(self) -> None:
        self.held -= 1
        self.since = monotonic()

    def answered(self) -> None:
        """A model call has ended."""
        self.models -= 1
        self.since = monotonic()

    def attempted(self, attempt: Attempt | None) -> None:
        """The attempt has ended; None: it was given up."""
        if self.attempting:
            self.attempting = False
            self._end_step(attempt.error if attempt is not None else None)
            for watcher in self.stages.watchers:
                watcher.attempt_ended(self, attempt)

    def end(self) -> None:
        """The rollout is over, however it ended."""
        self.attempted(None)
        self.stages.active.discard(self)

    def as_json(self, now: float) -> JSONObject:
        return {
            "task_id": self.task_id[:_LONGEST],
            "repeat": self.repeat,
            "attempt": self.attempt + 1,
            "turn": self.turn,
            "stage": self.stage,
            "stage_seconds": round(now - self.since, 3),
            "seconds": round(now - self.started, 3),
        }


class Stages:
    """The rollouts in flight of one process."""

    def __init__(self) -> None:
        self.active: set[Activity] = set()
        self.watchers: Sequence[Watcher] = ()
        self.numbers: Numbers | None = None
        """Where metrics were asked for: of this process, or of all worker processes together."""
        self.model_calls = 0
        self.tool_calls = 0

    def begin(self, task_id: str, repeat: int) -> Activity:
        activity = Activity(self, task_id, repeat)
        self.active.add(activity)
        return activity

    def report(self, slowest: int = SLOWEST) -> JSONObject:
        """Counts by stage, and the rollouts that have been in flight longest. Its size does not follow theirs."""
        now = monotonic()
        counts = dict.fromkeys(STAGES, 0)
        for activity in self.active:
            counts[activity.stage] += 1
        oldest = nsmallest(slowest, self.active, key=lambda activity: activity.started)
        return {
            "stages": counts,
            "slowest": [activity.as_json(now) for activity in oldest],
            "model_calls": self.model_calls,
            "tool_calls": self.tool_calls,
        }


def merged(reports: Iterable[JSONObject], slowest: int = SLOWEST) -> JSONObject:
    """The reports of several processes as one."""
    found = list(reports)
    return {
        "stages": {stage: sum(r["stages"].get(stage, 0) for r in found) for stage in STAGES},
        "slowest": nlargest(slowest, (s for r in found for s in r["slowest"]), key=lambda s: s["seconds"]),
        "model_calls": sum(r["model_calls"] for r in found),
        "tool_calls": sum(r["tool_calls"] for r in found),
    }
