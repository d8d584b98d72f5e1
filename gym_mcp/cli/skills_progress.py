"""How far the arms of an experiment are, in one line on stderr now and then."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from gym_mcp.cli.progress import PLAIN_EVERY
from gym_mcp.coordinator.events import AttemptFailed, Draining, Event, MemoryBound, RolloutFinished, RunStarted

if TYPE_CHECKING:
    from gym_mcp.coordinator.coordinator import Coordinator
    from gym_mcp.types import JSONObject


class ArmsProgress:
    """Listens to all arms. What all of them say alike is said once."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._coordinators: dict[str, Coordinator] = {}
        self._said: set[str] = set()
        self._loaded: Counter[str] = Counter()
        self._retries = 0
        self._due = time.monotonic() + PLAIN_EVERY

    def attach(self, arm: str, coordinator: Coordinator) -> None:
        """Read an arm's numbers from its coordinator."""
        self._coordinators[arm] = coordinator

    def on_event(self, arm: str, event: Event) -> None:
        if not self._enabled:
            return
        if isinstance(event, RunStarted):
            already = f", {event.done} done already" if event.done else ""
            self._print(f"{arm}: {event.tasks} tasks x {event.repeats} = {event.expected} rollouts{already}")
        elif isinstance(event, MemoryBound):
            free, each = event.available_mib, event.each_mib
            self._once("memory", f"{event.allowed} rollouts at a time: {free} MiB are free, each takes {each} MiB")
        elif isinstance(event, Draining):
            self._once("drain", f"{event.reason}: finishing what runs; again to give it up")
        elif isinstance(event, AttemptFailed):
            self._retries += 1
        elif isinstance(event, RolloutFinished):
            self._loaded[arm] += _has_loaded(event.row)
            if time.monotonic() >= self._due:
                self._due = time.monotonic() + PLAIN_EVERY
                self._print(self.line())

    def line(self) -> str:
        """The state of all arms."""
        parts = []
        for arm, coordinator in self._coordinators.items():
            tally = coordinator.tally
            failed = sum(tally.failed.values())
            score = tally.headline()[0]
            parts.append(
                f"{arm} {tally.done}/{tally.expected}"
                + (f" pass@1 {100 * score:.1f}%" if score is not None else "")
                + (f" failed {failed}" if failed else "")
                + (f" loaded {self._loaded[arm]}" if arm in self._loaded else "")
            )
        running = sum(coordinator.in_flight for coordinator in self._coordinators.values())
        retried = f" · {self._retries} tried again" if self._retries else ""
        return f"{' · '.join(parts)}{retried} · {running} running"

    def _once(self, what: str, line: str) -> None:
        if what not in self._said:
            self._said.add(what)
            self._print(line)

    @staticmethod
    def _print(line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def _has_loaded(row: JSONObject) -> bool:
    """Whether a rollout loaded a skill: who sees that none does can stop an experiment that shows nothing."""
    skills = (row.get("harness_facts") or {}).get("skills")
    return isinstance(skills, dict) and any(
        isinstance(s, dict) and isinstance(s.get("loaded"), dict) for s in skills.values()
    )
