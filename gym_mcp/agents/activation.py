"""Which skills a rollout's model was offered and shown.

Every model call of an agent passes through the gateway, so this is read from what the model was sent, whatever the
agent and its version, and nothing is inferred.

Offered: the skill's description stood in a message or in a tool that the model was offered. Loaded: lines of the
skill's text reached the model, in a message or in the result of one of the agent's own tools. Asked for: the model
called a tool of the agent's with the skill's name or its path.
"""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from gym_mcp.agents.skills import SkillText
from gym_mcp.models.base import Request
from gym_mcp.types import Item, JSONObject, text_of

UNKNOWN: Final = "unknown"
"""It cannot be told: nothing sets the text apart, or nobody was asked anything."""
_DESCRIPTION: Final = 100
"""Characters of a description that are looked for: agents cut long ones."""
_LINE: Final = 200
_SHORTEST: Final = 16
"""Characters of a line that says which skill it is of."""
_LINES: Final = 3
"""Lines of a skill's text that stand together when it is shown; a search that finds one has not loaded it."""
_MOST: Final = 60
"""Lines that are looked for, spread over the text."""


class Activation:
    """What is found out of one rollout. `own`: the skills that it has; `others`: those that it should know nothing
    of. `environments`: whether a tool's name, as the agent has it, is one of the environment's.
    """

    def __init__(
        self,
        own: Sequence[SkillText],
        others: Sequence[SkillText],
        prompt: str,
        environments: Callable[[str], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        given = _plain(prompt)
        had = "\n".join([given, *(_plain(f"{skill.description}\n{skill.body}") for skill in own)])
        self._own = [_Trace.of(skill, _rest(skill, own), given) for skill in own]
        self._others = [_Trace.of(skill, "", had) for skill in others]
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
                if trace.asked is None and trace.is_named(name, item.get("arguments")):
                    trace.asked = {**when, "where": name}
                    break

    def as_json(self) -> JSONObject:
        """`skills` of a rollout's facts, and `foreign_skills` where it knew of one that is not its own."""
        known = self._turns > 0
        foreign = {trace.name: trace.as_json() for trace in self._others if trace.seen}
        return {
            "skills": {trace.name: trace.as_json() if known else _NOTHING for trace in self._own},
            **({"foreign_skills": foreign} if foreign else {}),
        }

    def _look(self, text: str, found: JSONObject, *, tells: bool) -> None:
        """Look for all skills in a text, once. `tells`: whether it may offer one: what a tool reads does not."""
        key = hash((tells, text))
        if key in self._read:
            return
        self._read.add(key)
        plain = _plain(text)
        for trace in (*self._own, *self._others):
            trace.look(plain, found, tells=tells)


_NOTHING: Final[JSONObject] = {"offered": UNKNOWN, "loaded": UNKNOWN, "asked": None}


@dataclass(slots=True)
class _Trace:
    """One skill: what it is known by, and where it was seen first."""

    name: str
    description: str | None
    lines: list[str]
    offered: JSONObject | None = None
    loaded: JSONObject | None = None
    asked: JSONObject | None = None
    _shown: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, skill: SkillText, rest: str, given: str) -> _Trace:
        """Known by what neither `rest`, the texts of the skills beside it, nor what is `given` anyway holds."""
        elsewhere = f"{given}\n{rest}"
        whole = _plain(skill.description)
        described = next((d for d in (whole[:_DESCRIPTION], whole) if d not in elsewhere), None)
        lines = dict.fromkeys(_plain(line)[:_LINE] for line in skill.body.splitlines())
        apart = [n for n in lines if len(n) >= _SHORTEST and n not in elsewhere and n not in whole]
        step = max(1, -(-len(apart) // _MOST))
        return cls(skill.name, described, apart[::step])

    @property
    def seen(self) -> bool:
        return self.offered is not None or self.loaded is not None or self.asked is not None

    def look(self, text: str, found: JSONObject, *, tells: bool) -> None:
        if tells and self.offered is None and self.description is not None and _holds(text, self.description):
            self.offered = found
        there = {i for i, line in enumerate(self.lines) if _holds(text, line)}
        if len(there) < min(_LINES, max(1, len(self.lines))):
            return
        self._shown |= there
        self.loaded = {**(self.loaded or found), "share": round(len(self._shown) / len(self.lines), 3)}

    def is_named(self, tool: str, arguments: Any) -> bool:
        """Whether a call is for this skill: by its name where the tool is one for skills, else by its path."""
        try:
            values = list(_texts(orjson.loads(arguments or "{}")))
        except (orjson.JSONDecodeError, TypeError):
            return False
        if "skill" in tool.lower() and any(v.rpartition(":")[2] == self.name for v in values):
            return True
        path = re.compile(rf"(?:^|[\s/\"'=])(?:skills/{self.name}(?![\w-])|{self.name}/SKILL\.md\b)")
        return any(path.search(value) for value in values)

    def as_json(self) -> JSONObject:
        return {
            "offered": UNKNOWN if self.description is None and self.offered is None else self.offered,
            "loaded": UNKNOWN if not self.lines and self.loaded is None else self.loaded,
            "asked": self.asked,
        }


def _rest(skill: SkillText, skills: Sequence[SkillText]) -> str:
    """The texts of the other skills."""
    others = (other for other in skills if other is not skill)
    return "\n".join(_plain(f"{other.description}\n{other.body}") for other in others)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _holds(text: str, mark: str) -> bool:
    """Whether a text has a mark, as it is or as it stands in JSON or XML."""
    if mark in text:
        return True
    forms = {json.dumps(mark)[1:-1], json.dumps(mark, ensure_ascii=False)[1:-1], html.escape(mark)} - {mark}
    return any(form in text for form in forms)


def _is_call(item: Item) -> bool:
    return item.get("type") == "function_call"


def _shown(output: Any) -> str:
    """The texts of a tool's result."""
    return output if isinstance(output, str) else text_of({"content": output})


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
