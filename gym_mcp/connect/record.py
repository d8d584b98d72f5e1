"""The run directory of a seat: it grows with each task that is handed out; every attempt gets one terminal row."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gym_mcp.client import Verdict
from gym_mcp.coordinator import journal
from gym_mcp.coordinator.config import make_config
from gym_mcp.coordinator.connect import Parts
from gym_mcp.coordinator.manifest import make_manifest
from gym_mcp.coordinator.rollout import Arm, Attempt, terminal_row
from gym_mcp.coordinator.run import summarize
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.datasets import parse_task
from gym_mcp.direct import DirectClient, describe
from gym_mcp.environment import Environment
from gym_mcp.errors import HarnessError, RolloutCancelled, RolloutError, UsageError
from gym_mcp.harness import Limits
from gym_mcp.identity import environment_identity
from gym_mcp.models.base import Model, Request, Response
from gym_mcp.seeds import episode_seed
from gym_mcp.types import Item, JSONObject, Task, Transcript

ABANDONED: Final = "the server ended before the agent submitted"
_HANDED_OUT: Final = "handed_out"


def fits(manifest: JSONObject, cls: type[Environment[Any]], harness: str) -> bool:
    """Whether a run is one that `harness` may add to: of that client, on this very environment."""
    now = {**environment_identity(cls), "environment_name": cls.name}
    same = all(manifest["identity"].get(key) == value for key, value in now.items())
    return same and _HANDED_OUT in manifest and manifest["harness"] == harness


class Outsider(Model):
    """Whoever sits behind a client of their own: nobody told us which model that is."""

    def __init__(self, spec: str) -> None:
        self.spec = spec

    async def respond(self, request: Request) -> Response:
        raise HarnessError(f"model {self.spec} plays by itself: it cannot be asked")


class _NoHarness:
    async def run(self, session: Any, model: Model, limits: Limits) -> Transcript:
        raise HarnessError("an agent that connected by itself cannot be run")


class Book:
    """The rollouts of one seat. `harness` names the client (`connect:claude`), `model` what plays.

    A book that is opened again goes on; what a dead server left unfinished in it becomes `cancelled` rows.
    """

    def __init__(
        self,
        cls: type[Environment[Any]],
        environment: str,
        *,
        harness: str,
        model: str,
        out: Path | None,
        settings: JSONObject | None = None,
        source: Path | None = None,
    ) -> None:
        values = {"environment": environment, "model": model, "harness": harness, "env": settings or {}}
        self._config = make_config({**values, "input": source})
        client, outsider, limits = DirectClient(cls), Outsider(model), Limits(turns=None)
        description = describe(cls)
        self._parts = Parts(client, cls, description, outsider, harness, _NoHarness(), Path(__file__), limits)
        name = f"{cls.name}-{harness}".replace(":", "-").replace("/", "-")
        self.directory = RunDirectory.new(out, name)
        self.directory.lock()
        try:
            self._manifest = self._begin()
            self._arm = self._make_arm()
            self._tasks = self._load()
            journal.repair(self.directory.rollouts_path)
            self._journal = journal.Journal(self.directory.rollouts_path)
            self._settle_abandoned()
        except BaseException:
            self.directory.unlock()
            raise

    @property
    def path(self) -> Path:
        return self.directory.path.resolve()

    def _begin(self) -> JSONObject:
        if self.directory.exists():
            manifest = self.directory.read_manifest()
            if not fits(manifest, self._parts.environment_type, self._parts.harness_name):
                raise UsageError(f"{self.directory.path}: holds another run; choose another --out")
            return manifest
        count, digest = self.directory.write_tasks([])
        return {**make_manifest(self._config, self._parts, count, digest), _HANDED_OUT: []}

    def _make_arm(self) -> Arm:
        p, run_id = self._parts, self._manifest["run_id"]
        name = p.description.name
        return Arm(run_id, 0, name, p.client, p.model, p.harness_name, p.harness, p.limits, 1)

    def _load(self) -> dict[str, Task[Any]]:
        where = str(self.directory.tasks_path)
        rows = self.directory.task_rows()
        return {t.id: t for t in (parse_task(self._parts.environment_type, row, where) for row in rows)}

    def _settle_abandoned(self) -> None:
        done = {(r["task_index"], r["repeat"]) for r in journal.read_rows(self.directory.rollouts_path)}
        tasks = list(self._tasks.values())
        for index, repeat in self._manifest[_HANDED_OUT]:
            if (index, repeat) not in done:
                attempt = Attempt(Transcript(), ledger=[], error=RolloutCancelled(ABANDONED))
                self._append(tasks[index], index, repeat, attempt)

    def tried(self) -> set[str]:
        """Ids of the tasks that were handed out."""
        return set(self._tasks)

    def hand_out(self, task: Task[Any]) -> tuple[int, int, int]:
        """(task index, repeat, seed) of a new attempt, on disk before the agent can act."""
        self._tasks.setdefault(task.id, task)
        index = list(self._tasks).index(task.id)
        before: list[list[int]] = self._manifest[_HANDED_OUT]
        repeat = sum(1 for i, _ in before if i == index)
        count, digest = self.directory.write_tasks(self._tasks.values())
        handed_out = [*before, [index, repeat]]
        repeats = max(r for _, r in handed_out) + 1
        self._manifest.update(tasks=count, repeats=repeats, expected=count * repeats)
        self._manifest[_HANDED_OUT] = handed_out
        self._manifest["identity"].update(tasks=digest, repeats=repeats)
        self.directory.write_manifest(self._manifest)
        return index, repeat, episode_seed(0, task.id, repeat)

    def record(
        self,
        place: tuple[int, int],
        task: Task[Any],
        items: list[Item],
        ledger: list[JSONObject],
        outcome: Verdict | RolloutError,
        *,
        stop: str,
        started: float,
        seconds: float,
    ) -> JSONObject:
        """Journal the terminal row of an attempt; the row. `started` is Unix time."""
        attempt = Attempt(Transcript(items, stop), ledger=ledger)
        if isinstance(outcome, Verdict):
            attempt.verdict = outcome
        else:
            attempt.error = outcome
        return self._append(task, *place, attempt, started, seconds)

    def _append(
        self,
        task: Task[Any],
        index: int,
        repeat: int,
        attempt: Attempt,
        started: float | None = None,
        seconds: float = 0.0,
    ) -> JSONObject:
        row = terminal_row(self._arm, task, index, repeat, episode_seed(0, task.id, repeat), attempt)
        tool_seconds = round(sum(e["end"] - e["start"] for e in row["ledger"]), 6)
        row["timing"] = {
            "started": time.time() if started is None else started,
            "seconds": round(seconds, 6),
            "model_seconds": 0.0,
            "tool_seconds": tool_seconds,
        }
        self._journal.append(row)
        self.directory.write_metrics(summarize(self.directory.path).metrics)
        return row

    def rows(self) -> Iterator[JSONObject]:
        """The rows so far."""
        return journal.read_rows(self.directory.rollouts_path)

    def close(self) -> None:
        """Sync, let go of the run directory, and leave nothing of a run in which nothing was handed out."""
        self._journal.close()
        if not self.directory.exists():
            self.directory.rollouts_path.unlink(missing_ok=True)
            self.directory.discard()
        self.directory.unlock()
