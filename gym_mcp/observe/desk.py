"""What a running evaluation can be told to do, and what it never lets itself be told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from gym_mcp.coordinator.events import Controlled
from gym_mcp.errors import UsageError
from gym_mcp.observe.status import Status
from gym_mcp.suggest import did_you_mean
from gym_mcp.types import JSONObject

if TYPE_CHECKING:
    from gym_mcp.coordinator.coordinator import Coordinator

MOST: Final = 100_000
"""Rollouts or calls at a time that may be asked for."""
EVENTS: Final = "events.jsonl"
_FIXED: Final = frozenset({
    "turns", "tokens", "cost", "seconds", "limits", "max_turns", "max_tokens", "max_cost", "max_seconds", "seed",
    "repeats", "sampling", "temperature", "model", "harness", "environment",
})  # fmt: skip
_KNOWN: Final = ("status", "pause", "resume", "cancel", "set")
_SETTABLE: Final = ("concurrency", "model_limit")


class Desk:
    """Answers requests for one run. Every change is an event of the run, and a line of its `events.jsonl`."""

    def __init__(self, coordinator: Coordinator, status: Status, run_dir: Path) -> None:
        self.coordinator = coordinator
        self.status = status
        self.path = run_dir / EVENTS
        self._limit_was_set = False
        self._do: dict[str, Callable[[JSONObject], JSONObject]] = {
            "status": lambda _: {"status": self.status.as_json()},
            "pause": self._pause,
            "resume": self._resume,
            "cancel": self._cancel,
            "set": self._set,
        }

    def answer(self, request: Any) -> JSONObject:
        """The answer to one request: `status`, `done` (what was done, in words), or `error`."""
        if not isinstance(request, dict) or not isinstance(request.get("do"), str):
            return {
                "error": f'a request is an object such as {{"do": "status"}}; do is one of {", ".join(_KNOWN)}'
            }
        do = self._do.get(request["do"])
        if do is None:
            return {"error": f"no request `{request['do'][:40]}`{did_you_mean(request['do'][:40], _KNOWN)}"}
        try:
            return do(request)
        except UsageError as e:
            return {"error": str(e)}

    def _pause(self, request: JSONObject) -> JSONObject:
        if self.coordinator.draining:
            raise UsageError("the run is ending: there is nothing to pause")
        if self.coordinator.paused:
            return {"done": "paused already"}
        self.coordinator.pause()
        in_flight = self.coordinator.in_flight
        return self._did("pause", None, f"paused: no new rollouts start; {in_flight} in flight run to their end")

    def _resume(self, request: JSONObject) -> JSONObject:
        if self.coordinator.draining:
            raise UsageError("the run is ending: go on with `gym-mcp eval resume` when it has")
        if not self.coordinator.paused:
            return {"done": "running already"}
        self.coordinator.unpause()
        return self._did("resume", None, "resumed")

    def _cancel(self, request: JSONObject) -> JSONObject:
        now = request.get("now", False)
        if not isinstance(now, bool):
            raise UsageError("cancel: now is true or false")
        in_flight = self.coordinator.in_flight
        if now:
            done = self._did("cancel", None, f"cancelled: {in_flight} rollouts are given up; a resume runs them")
            self.coordinator.stop()
            return done
        if self.coordinator.draining:
            return {"done": f"cancelled already: {in_flight} rollouts are being finished"}
        done = self._did("cancel", None, f"cancelled: no new rollouts start, {in_flight} are being finished")
        self.coordinator.drain("cancelled")
        return done

    def _set(self, request: JSONObject) -> JSONObject:
        names = [name for name in request if name != "do"]
        if len(names) != 1:
            raise UsageError(f"set: one of {', '.join(_SETTABLE)} is expected")
        (name,) = names
        if name in _FIXED:
            settable = " and ".join(_SETTABLE)
            raise UsageError(f"set: {name} decides results, so it is fixed for the run; {settable} can be set")
        if name not in _SETTABLE:
            raise UsageError(f"set: no setting `{name[:40]}`{did_you_mean(name[:40], _SETTABLE)}")
        value = request[name]
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST:
            raise UsageError(f"set: {name} is a whole number from 1 to {MOST}")
        if self.coordinator.draining:
            raise UsageError("the run is ending: nothing can be set any more")
        return self._set_concurrency(value) if name == "concurrency" else self._set_model_limit(value)

    def _set_concurrency(self, asked: int) -> JSONObject:
        coordinator = self.coordinator
        before, value = coordinator.concurrency, self._that_fit(asked)
        coordinator.set_concurrency(value)
        limiter = getattr(coordinator.arm.model, "limiter", None)
        if limiter is not None and not self._limit_was_set:  # as a run that was started so would have it
            coordinator.set_model_limit(value)
        why = f" (memory for {value} is free, of {asked} asked for)" if value < asked else ""
        return self._did("concurrency", value, f"concurrency {before} -> {value}{why}", before=before)

    def _that_fit(self, asked: int) -> int:
        """As many as fit into memory, where the harness says how much one takes."""
        from gym_mcp.coordinator.memory import bound_by_memory

        each = getattr(self.coordinator.arm.harness, "memory_mib", None)
        running = self.coordinator.in_flight
        if not each or asked <= running:
            return asked
        return running + bound_by_memory(asked - running, each).allowed

    def _set_model_limit(self, value: int) -> JSONObject:
        limiter = getattr(self.coordinator.arm.model, "limiter", None)
        if limiter is None:
            spec = self.coordinator.arm.model.spec
            raise UsageError(f"set: {spec} calls no endpoint, so there is no limit of calls to set")
        before = limiter.maximum
        value = max(value, self.coordinator.workers)  # each process calls by itself
        self.coordinator.set_model_limit(value)
        self._limit_was_set = True
        return self._did("model_limit", value, f"at most {value} model calls at a time", before=before)

    def _did(self, do: str, value: int | None, text: str, **more: int) -> JSONObject:
        entry: JSONObject = {"time": round(time.time(), 3), "do": do, "text": text}
        if value is not None:
            entry["value"] = value
        problem = self._write({**entry, **more})
        self.coordinator.emit(Controlled(do, value, text))
        return {"done": text} if problem is None else {"done": text, "note": f"not recorded: {problem}"}

    def _write(self, entry: JSONObject) -> str | None:
        """Append a line to `events.jsonl`; what went wrong, if something did. Control must work on a full disk."""
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(fd, orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))
            finally:
                os.close(fd)
        except OSError as e:
            return f"{self.path}: {e.strerror}"
        return None
