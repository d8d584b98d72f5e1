"""Function calling in one turn: the calls that a request needs, out of functions that the row declares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gym_mcp import Call, Environment, Reward, Task, Transcript
from gym_mcp.environment import Step
from gym_mcp.tools import Tool
from verifiers.tool_calls import ToolCall, covers, greedy_matches, read_call


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


class Function(BaseModel):
    """A function as the Responses API declares it."""

    model_config = ConfigDict(extra="ignore")
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ExpectedCall(BaseModel):
    """A call that must be made, with arguments that it must have, as an object or its JSON text."""

    name: str
    arguments: Annotated[dict[str, Any], BeforeValidator(_parsed)] = Field(default_factory=dict)


class Row(BaseModel):
    """The functions and the expected calls, a list or its JSON text; other published fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    tools: list[Function] = Field(min_length=1)
    expected_answers: Annotated[list[ExpectedCall], Field(min_length=1), BeforeValidator(_parsed)]


class XlamFc(Environment[Row]):
    """Make exactly the function calls that the request needs."""

    domain = "agent"
    tags = ("function-calling", "single-turn")

    def open(self, task: Task[Row]) -> None:
        self.made = 0

    def tools_for(self, task: Task[Row]) -> Iterator[Tool]:
        for function in task.data.tools:
            schema = function.parameters or {"type": "object", "properties": {}}
            yield Tool.from_schema(
                function.name, function.description or "", schema, _acknowledge, validated=False
            )

    def acknowledge(self) -> str:
        """Count a call; nothing is carried out. With as many calls as expected, the episode is over."""
        self.made += 1
        self.done = self.made >= len(self.task.data.expected_answers)
        return "The call is recorded."

    def verify(self, transcript: Transcript) -> Reward:
        expected = [ToolCall(call.name, call.arguments) for call in self.task.data.expected_answers]
        made = [read_call(item) for item in transcript.calls()]
        matched = greedy_matches(expected, made, covers)
        correct = matched == len(expected) == len(made)
        components = {"matched": matched / len(expected), "count_equal": float(len(made) == len(expected))}
        return Reward(
            float(correct), components, f"{len(made)} calls, {len(expected)} expected, {matched} of these matched"
        )

    def solution(self) -> Iterator[Step]:
        yield [Call(call.name, **call.arguments) for call in self.task.data.expected_answers]


def _acknowledge(environment: XlamFc, arguments: dict[str, Any]) -> str:
    return environment.acknowledge()
