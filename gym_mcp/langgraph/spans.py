"""What a graph did, as spans: graphs hold nodes, nodes hold calls. Fields are in docs/runs.md."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables.config import var_child_runnable_config

from gym_mcp.types import JSONObject


def current_task() -> str:
    """Id of the innermost graph task that the caller runs in; empty outside a graph."""
    config = var_child_runnable_config.get() or {}
    return task_of((config.get("configurable") or {}).get("checkpoint_ns", "").split("|"))


def task_of(namespace: Sequence[str]) -> str:
    """The innermost task of a checkpoint namespace (`node:TASK`, outermost first)."""
    for part in reversed(namespace):
        _, colon, task = part.partition(":")
        if colon:
            return task
    return ""


@dataclass(slots=True)
class _Level:
    """Where a graph stands: the nodes of this step and of the one before."""

    span: JSONObject
    before: list[str] = field(default_factory=lambda: ["__start__"])
    running: list[str] = field(default_factory=list)
    finished: bool = False
    step: int = 0


class Trace:
    """The spans of one rollout. Times are seconds since it began."""

    def __init__(self) -> None:
        self.spans: list[JSONObject] = []
        self._began = time.monotonic()
        self._tasks: dict[str, JSONObject] = {}
        self._waiting: list[tuple[JSONObject, str]] = []
        """Calls, and the task that each belongs to: its node may be reported after its first call has begun."""
        self._running: set[str] = set()
        self._graph: JSONObject | None = None
        self._levels: dict[str, _Level] = {}

    def open(self, kind: str, name: str, parent: str | None = None) -> JSONObject:
        span: JSONObject = {"id": f"s{len(self.spans)}", "parent": parent, "kind": kind, "name": name}
        span["start"] = span["end"] = self._now()
        self.spans.append(span)
        return span

    def open_call(self, kind: str, name: str) -> JSONObject:
        """A model or tool call, made by whichever node runs; it belongs to the graph where none does."""
        span = self.open(kind, name, self._graph["id"] if self._graph else None)
        if task := current_task() or self._only_task():
            self._waiting.append((span, task))
        return span

    def _only_task(self) -> str:
        """The innermost task that runs, where there is one: a call that came from outside must be its own."""
        holders = {self._tasks[task]["parent"] for task in self._running}
        inner = [task for task in self._running if self._tasks[task]["id"] not in holders]
        return inner[0] if len(inner) == 1 else ""

    def close(self, span: JSONObject) -> None:
        span["end"] = self._now()

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 6)

    def begin(self, name: str) -> JSONObject:
        """The graph starts, or goes on after an interrupt or a user's reply."""
        self._graph = self.open("graph", name)
        self._graph["edges"] = []
        self._running.clear()
        self._levels = {"": _Level(self._graph)}
        return self._graph

    def finish(self, edges: EdgesOf) -> None:
        """The graph has ended, or was stopped."""
        assert self._graph is not None
        self.close(self._graph)
        top = self._levels[""]
        if top.finished:
            self._graph["edges"] += [list(edge) for edge in edges(top.running or top.before, "__end__")]
        self._graph = None

    def task(self, namespace: Sequence[str], event: JSONObject, edges: EdgesOf) -> None:
        """An event of LangGraph's stream mode `tasks`: a task starts, or has ended."""
        if "triggers" not in event:
            self._task_ended(namespace, event)
            return
        level = self._level(task_of(namespace))
        if level.finished:
            level.before, level.running, level.finished = level.running, [], False
            level.step += 1
        span = self.open("node", event["name"], level.span["id"])
        span["step"] = level.step
        for source, target in edges(level.before, event["name"]):
            level.span["edges"].append([source, target])
        level.running.append(event["name"])
        self._tasks[event["id"]] = span
        self._running.add(event["id"])

    def _level(self, task: str) -> _Level:
        found = self._levels.get(task)
        if found is None:
            holder = self._tasks.get(task) or self._levels[""].span
            holder.setdefault("edges", [])
            found = self._levels[task] = _Level(holder)
        return found

    def _task_ended(self, namespace: Sequence[str], event: JSONObject) -> None:
        self._level(task_of(namespace)).finished = True
        self._running.discard(event["id"])
        span = self._tasks.get(event["id"])
        if span is not None:
            self.close(span)
            if event.get("interrupts"):
                span["interrupted"] = True

    def settle(self) -> list[JSONObject]:
        """All spans, each inside its parent's time."""
        for span, task in self._waiting:
            holder = self._tasks.get(task)
            if holder is not None:
                span["parent"] = holder["id"]
        known = {span["id"]: span for span in self.spans}
        for span in sorted(self.spans, key=lambda s: -_depth(s, known)):
            parent = known.get(span["parent"])
            if parent is not None:
                parent["start"] = min(parent["start"], span["start"])
                parent["end"] = max(parent["end"], span["end"])
        return self.spans


def _depth(span: JSONObject, known: dict[str, JSONObject]) -> int:
    depth = 0
    while span["parent"] is not None:
        span, depth = known[span["parent"]], depth + 1
    return depth


class EdgesOf:
    """Which of the nodes that ran before lead to a node, by the graph's drawing.

    Where the drawing does not say (a `Command` that goes somewhere), all of them may have.
    """

    def __init__(self, graph: Any) -> None:
        builder = getattr(graph, "builder", None)
        self._drawn: set[tuple[str, str]] = set(getattr(builder, "edges", ()))
        for starts, end in getattr(builder, "waiting_edges", ()):
            self._drawn |= {(start, end) for start in starts}
        self._open: set[str] = set()
        for start, branches in getattr(builder, "branches", {}).items():
            for branch in branches.values():
                if branch.ends is None:
                    self._open.add(start)
                else:
                    self._drawn |= {(start, end) for end in branch.ends.values()}

    def __call__(self, before: Sequence[str], name: str) -> list[tuple[str, str]]:
        sources = list(dict.fromkeys(before))
        found = [s for s in sources if (s, name) in self._drawn or s in self._open] or sources
        return [(source, name) for source in found]
