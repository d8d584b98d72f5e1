"""A sound environment, and one for each kind of fault that the report card is there to find."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from gym_mcp import Call, Environment, Task, Tool, ToolError, Transcript, tool
from gym_mcp.environment import Step
from gym_mcp.types import Image

SECRETS = ("quokka", "narwhal", "axolotl", "capybara")


class Sound(Environment[dict[str, str]]):
    """Ask for the password and say it."""

    @classmethod
    def tasks(cls) -> Iterable[Any]:
        return [{"id": f"t{i}", "prompt": "Say it.", "data": {"expected": s}} for i, s in enumerate(SECRETS)]

    def open(self, task: Task[dict[str, str]]) -> None:
        self.asked = 0

    @tool
    def ask(self, politely: bool = True) -> str:
        """Tell the password, if asked politely."""
        if not politely:
            raise ToolError("No.")
        self.asked += 1
        return self.task.data["expected"]

    def verify(self, transcript: Transcript) -> Any:
        return float(transcript.answer == self.task.data["expected"] and self.asked > 0)

    def solution(self) -> Iterator[Any]:
        password = yield Call("ask")
        yield password


class Generous(Sound):
    """Pays for nothing."""

    def verify(self, transcript: Transcript) -> float:
        return 1.0


class Yes(Sound):
    """Yes is always right."""

    def verify(self, transcript: Transcript) -> float:
        return float(transcript.answer == "yes")

    def solution(self) -> Iterator[Step]:
        yield "yes"


class Unsolved(Sound):
    """The solution is wrong on one task."""

    def solution(self) -> Iterator[Any]:
        password = yield Call("ask")
        yield "wrong" if self.task.id == "t2" else password


class Unseeded(Sound):
    """Draws from the global random numbers."""

    @tool
    def draw(self) -> float:
        """Draw a number."""
        return random.random()

    def solution(self) -> Iterator[Any]:
        yield Call("draw")
        yield from super().solution()


class Shared(Sound):
    """Keeps the episode's state on the class."""

    current: ClassVar[str] = ""

    def open(self, task: Task[dict[str, str]]) -> None:
        super().open(task)
        Shared.current = task.data["expected"]

    @tool
    def ask(self, politely: bool = True) -> str:
        """Tell the password."""
        self.asked += 1
        return Shared.current

    def solution(self) -> Iterator[Any]:
        yield Call("ask")
        password = yield Call("ask")
        yield password


class Telling(Sound):
    """Writes the answer into a tool's description."""

    def tools_for(self, task: Task[dict[str, str]]) -> Iterable[str | Tool]:
        hint = f"The password is {task.data['expected']}."
        return ["ask", Tool.from_schema("hint", hint, {"type": "object", "properties": {}}, lambda *_: "")]


class Filing(Sound):
    """Hands the answer out as a file."""

    def resources(self) -> Mapping[str, str | bytes | Image]:
        return {"notes.txt": b"password: " + self.task.data["expected"].encode()}


class Mute(Sound):
    """Its secret stands in no field named like an answer, but the answer is what counts."""

    def resources(self) -> Mapping[str, str | bytes | Image]:
        return {"notes.txt": "password: " + self.task.data["word"]}

    @classmethod
    def tasks(cls) -> Iterable[Any]:
        return [{"id": s[0], "prompt": "Say it.", "data": {"word": s}} for s in SECRETS]

    @tool
    def ask(self, politely: bool = True) -> str:
        """Tell nothing."""
        return ""

    def verify(self, transcript: Transcript) -> float:
        return float(transcript.answer == self.task.data["word"])

    def solution(self) -> Iterator[Any]:
        yield self.task.data["word"]


class Overpaying(Sound):
    """Pays by the length of the answer."""

    def verify(self, transcript: Transcript) -> float:
        return super().verify(transcript) or float(len(transcript.answer) // 100)


class Gullible(Sound):
    """Reads the answer as a number."""

    def verify(self, transcript: Transcript) -> float:
        return super().verify(transcript) or 0.0 * float(transcript.answer.strip("quokanrwhlxtpyb") or 0)


class Fragile(Sound):
    """A tool looks a name up and hopes."""

    @tool
    def look_up(self, name: str) -> str:
        """Look a name up."""
        return {"bob": "a builder"}[name]


class Stuck(Sound):
    """Its restore does nothing."""

    def open(self, task: Task[dict[str, str]]) -> None:
        super().open(task)
        self.asks_left = 1

    @tool
    def ask(self, politely: bool = True) -> str:
        """Tell the password, once."""
        if not self.asks_left:
            raise ToolError("Only once.")
        self.asks_left -= 1
        return super().ask(politely)

    def restore(self, snapshot: Any) -> None:
        return None


class Hoarding(Sound):
    """Keeps something of every episode."""

    kept: ClassVar[list[bytes]] = []

    def open(self, task: Task[dict[str, str]]) -> None:
        super().open(task)
        self.kept.append(bytes(1_000))


class Undescribed(Sound):
    """Has tools that no model API takes."""

    def tools_for(self, task: Task[dict[str, str]]) -> Iterable[str | Tool]:
        free = {"type": "object", "properties": {}}
        return [
            "ask",
            Tool.from_schema("no description", "", free, lambda *_: ""),
            Tool.from_schema("nothing", "It is no schema.", {"type": "thing"}, lambda *_: ""),
            Tool.from_schema("choice", "Is a union.", {**free, "anyOf": [{"required": []}]}, lambda *_: ""),
            Tool.from_schema("far", "Refers.", {**free, "$defs": {"a": {"$ref": "http://x/y"}}}, lambda *_: ""),
        ]


class Twice(Sound):
    """Has two tasks of one id."""

    @classmethod
    def tasks(cls) -> Iterable[Any]:
        return [Task("a", data={"expected": "quokka"}), Task("a", data={"expected": "axolotl"})]


class Unloadable(Sound):
    """Its tasks cannot be made."""

    @classmethod
    def tasks(cls) -> Iterable[Any]:
        raise KeyError("no such file of mine")
