"""Which skills a rollout's model was offered and shown.

Every model call of an agent passes through the gateway, so this is read from what the model was sent, whatever the
agent and its version, and nothing is inferred.

Offered: the skill's description stood in a message or in a tool that the model was offered. Loaded: lines of the
skill's text reached the model, in a message or in the result of one of the agent's own tools. Asked for: the model
called a tool of the agent's with the skill's name or its path.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from gym_mcp.agents.signs import Signs, holds, plain
from gym_mcp.models.base import Request
from gym_mcp.types import Item, JSONObject, text_of

UNKNOWN: Final = "unknown"
"""It cannot be told: nothing sets the text apart, or nobody was asked anything."""
_LINES: Final = 3
"""Lines of a skill's text that stand together when it is shown; a search that finds one has not loaded it."""


class Activation:
    """What is found out of one rollout. `own`: the skills that it has; `others`: those that it should know nothing
    of. `environments`: whether a tool's name, as the agent has it, is one of the environment's.
    """

    def __init__(
        self,
        own: Sequence[Signs],
        others: Sequence[Signs],
        prompt: str,
        environments: Callable[[str], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        given = plain(prompt)
        self._own = [_Trace(signs.beside(given)) for signs in own]
        self._others = [_Trace(signs.beside(given)) for signs in others]
        self._environments = environments
        self._clock = clock
        self._began = clock()
        self._read: set[int] = set()
        self._turns = 0

    def moment(self, turn: int) -> JSONObject:
        """When the model is sent its `turn`-th call, from 1; seconds since the rollout began."""
        return {"turn": turn, "seconds": round(self._clock() - self._began, 3)}

    def answered(self, request: Request, output: Iterable[Item], when: JSONObject) -> None:
        """A call that the model has answered: what it was never sent (a spent budget) it has not read."""
        self._turns = max(self._turns, when["turn"])
        self._sent(request, when)
        self._said(output, when)

    def _sent(self, request: Request, when: JSONObject) -> None:
        if not all(trace.offered for trace in (*self._own, *self._others)):
            for tool in request.tools:
                self._look(orjson.dumps(tool).decode(), {**when, "where": "tools"}, tells=True)
        callers = {str(i.get("call_id")): str(i.get("name")) for i in request.input if _is_call(i)}
        for item in request.input:
            kind, role = item.get("type", "message"), str(item.get("role", ""))
            if kind == "function_call_output":
                tool_name = callers.get(str(item.get("call_id")), "")
                if not self._environments(tool_name):
                    self._look(_shown(item.get("output")), {**when, "where": tool_name}, tells=False)
            elif kind == "message" and role != "assistant":
                self._look(text_of(item), {**when, "where": role}, tells=True)

    def _said(self, output: Iterable[Item], when: JSONObject) -> None:
        for item in output:
            name = str(item.get("name"))
            if not _is_call(item) or self._environments(name):
                continue
            for trace in (*self._own, *self._others):
                if trace.asked is None and trace.signs.named_by(name, item.get("arguments")):
                    trace.asked = {**when, "where": name}
                    break

    def as_json(self) -> JSONObject:
        """`skills` of a rollout's facts, and `foreign_skills` where it knew of one that is not its own."""
        known = self._turns > 0
        foreign = {trace.signs.name: trace.as_json() for trace in self._others if trace.seen}
        return {
            "skills": {trace.signs.name: trace.as_json() if known else _NOTHING for trace in self._own},
            **({"foreign_skills": foreign} if foreign else {}),
        }

    def _look(self, text: str, found: JSONObject, *, tells: bool) -> None:
        """Look for all skills in a text, once. `tells`: whether it may offer one: what a tool reads does not."""
        key = hash((tells, text))
        if key in self._read:
            return
        self._read.add(key)
        words = plain(text)
        for trace in (*self._own, *self._others):
            trace.look(words, found, tells=tells)


_NOTHING: Final[JSONObject] = {"offered": UNKNOWN, "loaded": UNKNOWN, "asked": None}


@dataclass(slots=True)
class _Trace:
    """One skill: what it is known by, and where it was seen first."""

    signs: Signs
    offered: JSONObject | None = None
    loaded: JSONObject | None = None
    asked: JSONObject | None = None
    _shown: set[int] = field(default_factory=set)

    @property
    def seen(self) -> bool:
        return self.offered is not None or self.loaded is not None or self.asked is not None

    def look(self, text: str, found: JSONObject, *, tells: bool) -> None:
        described, lines = self.signs.description, self.signs.lines
        if tells and self.offered is None and described is not None and holds(text, described):
            self.offered = found
        if len(self._shown) == len(lines):
            return
        there = {i for i, line in enumerate(lines) if holds(text, line)}
        if len(there) >= min(_LINES, len(lines)):
            self._shown |= there
            self.loaded = {**(self.loaded or found), "share": round(len(self._shown) / len(lines), 3)}

    def as_json(self) -> JSONObject:
        unknown = self.signs.description is None
        return {
            "offered": UNKNOWN if unknown and self.offered is None else self.offered,
            "loaded": UNKNOWN if not self.signs.lines else self.loaded,
            "asked": self.asked,
        }


def _is_call(item: Item) -> bool:
    return item.get("type") == "function_call"


def _shown(output: Any) -> str:
    """The texts of a tool's result."""
    return output if isinstance(output, str) else text_of({"content": output})
