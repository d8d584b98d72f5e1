"""What a run tells its listeners: the display, the JSON output and the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from gym_mcp.types import JSONObject


@dataclass(frozen=True, slots=True)
class RunStarted:
    """`done` rollouts of `expected` were in the journal already."""

    run_dir: str
    expected: int
    done: int
    tasks: int
    repeats: int
    title: str


@dataclass(frozen=True, slots=True)
class RolloutFinished:
    """A terminal rollout was journalled; `row` is the whole of it; from worker processes, all but its texts."""

    row: JSONObject


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An attempt failed and will be tried again after `wait` seconds."""

    task_id: str
    repeat: int
    kind: str
    message: str
    wait: float


@dataclass(frozen=True, slots=True)
class Draining:
    """No new rollouts start; `in_flight` are being finished."""

    in_flight: int
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """A worker process died over `orders` rollouts or groups, which another one takes up."""

    pid: int
    how: str
    orders: int


@dataclass(frozen=True, slots=True)
class ActorLost:
    """An actor on the node `where` was lost, with it or alone; its `orders` run again."""

    where: str
    why: str
    orders: int


@dataclass(frozen=True, slots=True)
class ActorsWait:
    """`missing` of `count` actors wait for a node that has what each `needs`."""

    missing: int
    count: int
    needs: str


@dataclass(frozen=True, slots=True)
class VerifierChanged:
    """The verifier changed (`changed` says from what to what): what is scored already is scored again first."""

    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemoryBound:
    """`allowed` rollouts at a time instead of `asked`: each takes `each_mib`, and `available_mib` are free."""

    asked: int
    allowed: int
    each_mib: int
    available_mib: int


@dataclass(frozen=True, slots=True)
class Controlled:
    """Somebody told the run through its control socket to `do` something; `text` says what came of it."""

    do: str
    value: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about the run's surroundings that a person should know; it does not touch the run."""

    text: str


@dataclass(frozen=True, slots=True)
class RoomBound:
    """`allowed` rollouts at a time instead of `asked`: the environment holds no more episodes."""

    asked: int
    allowed: int
    environment: str


@dataclass(frozen=True, slots=True)
class EnvironmentFull:
    """Rollouts wait for room in the environment, which says why. Told once."""

    message: str


@dataclass(frozen=True, slots=True)
class WorkersUnreached:
    """A server has workers at `urls` that do not answer there: they get no episodes."""

    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemoryShort:
    """Memory became short (`short`), so no rollout starts that is a process, or is no longer."""

    short: bool
    available_mib: int
    reserve_mib: int


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run ended; `complete` says whether every expected rollout is terminal."""

    complete: bool


Event: TypeAlias = (
    RunStarted
    | RolloutFinished
    | AttemptFailed
    | Draining
    | VerifierChanged
    | MemoryBound
    | RoomBound
    | EnvironmentFull
    | WorkersUnreached
    | MemoryShort
    | WorkerDied
    | ActorLost
    | ActorsWait
    | Controlled
    | Notice
    | RunFinished
)
Listener: TypeAlias = Callable[[Event], None]
