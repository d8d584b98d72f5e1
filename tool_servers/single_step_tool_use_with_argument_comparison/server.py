"""The next step of a recorded conversation: the expected tool call, or a message where one is due."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gym_mcp import Call, Environment, Options, Reward, Task, Transcript
from gym_mcp.environment import Step
from gym_mcp.tools import Tool
from gym_mcp.types import Item, text_of
from verifiers.tool_calls import ToolCall, most_matches, read_call, same_call

Parallel: TypeAlias = Literal["ignore", "binary", "fraction", "f1"]


def _as_object(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    arguments = read_call({"name": "", "arguments": value}).arguments
    if arguments is None:
        raise ValueError("no JSON object")
    return arguments


class Function(BaseModel):
    """A function as the Responses API declares it."""

    model_config = ConfigDict(extra="ignore")
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ExpectedCall(BaseModel):
    """A call; `arguments` is an object or its JSON text."""

    model_config = ConfigDict(extra="ignore")
    type: Literal["function_call"] = "function_call"
    name: str
    arguments: Annotated[dict[str, Any], BeforeValidator(_as_object)]


class ExpectedMessage(BaseModel):
    """A message; what it says is an example and not compared."""

    model_config = ConfigDict(extra="ignore")
    type: Literal["message"]
    content: str | list[dict[str, Any]] = ""


class Row(BaseModel):
    """The functions, and the expected action: a message, a call, or several calls in any order."""

    model_config = ConfigDict(extra="ignore")
    tools: list[Function] = Field(default_factory=list)
    expected_action: ExpectedMessage | ExpectedCall | Annotated[list[ExpectedCall], Field(min_length=1)]

    @property
    def calls(self) -> list[ExpectedCall]:
        """The expected calls; none when a message is due."""
        match self.expected_action:
            case list() as calls:
                return calls
            case ExpectedCall() as call:
                return [call]
        return []


_NO_ARGUMENTS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}


class SingleStepToolUse(Environment[Row]):
    """Take the one next step of a conversation: the right tool call, or a message to the user."""

    domain = "agent"
    tags = ("function-calling", "single-step")
    floor = 0.25
    """A quarter of the bundled tasks expects a message, and any message will do."""

    class Options(Options):
        """`string_threshold`: word overlap that texts of two words or more must reach (0.5 for equal texts).

        `parallel`: what the number of calls does to the reward.
        """

        string_threshold: float = Field(0.1, ge=0.0, le=0.5)
        parallel: Parallel = "ignore"

    def open(self, task: Task[Row]) -> None:
        self.made = 0

    def tools_for(self, task: Task[Row]) -> Iterator[Tool]:
        for function in task.data.tools:
            schema = dict(function.parameters or _NO_ARGUMENTS)
            yield Tool.from_schema(function.name, function.description or "", schema, _take_step, validated=False)

    def take_step(self) -> str:
        """Count a call; nothing is carried out. With as many calls as expected, the episode is over."""
        self.made += 1
        self.done = self.made >= len(self.task.data.calls)
        return "The call is recorded."

    def verify(self, transcript: Transcript) -> Reward:
        expected = [ToolCall(call.name, call.arguments) for call in self.task.data.calls]
        items = step_items(transcript.items, len(expected))
        made = [read_call(item) for item in items if item.get("type") == "function_call"]
        if not expected:
            said = any(text_of(m).strip() for m in Transcript(items).messages())
            note = "a call where a message is due" if made else "a message" if said else "neither call nor message"
            return Reward(float(said and not made), {}, note)
        if not made:
            return Reward(0.0, {"matched": 0.0}, f"no call where {expected[0].name} is due")
        agree = partial(same_call, string_threshold=self.options.string_threshold)
        matched = most_matches(expected, made, agree)
        note = f"{matched} of {len(expected)} expected calls among {len(made)}"
        return Reward(self._score(matched, len(expected), len(made)), {"matched": matched / len(expected)}, note)

    def _score(self, matched: int, expected: int, made: int) -> float:
        match self.options.parallel:
            case "binary":
                return float(matched == expected == made)
            case "fraction":
                return matched / max(expected, made)
            case "f1":
                return 2 * matched / (expected + made)
        return float(matched == expected)

    def solution(self) -> Iterator[Step]:
        action = self.task.data.expected_action
        if isinstance(action, ExpectedMessage):
            yield text_of({"content": action.content}).strip() or "What would you like me to do?"
        else:
            yield [Call(call.name, **call.arguments) for call in self.task.data.calls]


def _take_step(environment: SingleStepToolUse, arguments: dict[str, Any]) -> str:
    return environment.take_step()


def step_items(items: Sequence[Item], expected: int) -> list[Item]:
    """The model's first step: everything up to the first result that comes when `expected` calls were made."""
    calls = 0
    for index, item in enumerate(items):
        if item.get("type") == "function_call":
            calls += 1
        elif item.get("type") == "function_call_output" and calls >= expected:
            return list(items[:index])
    return list(items)
