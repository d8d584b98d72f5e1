"""Replies, or arguments of a tool call, that must parse and fit a JSON Schema exactly."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from jsonschema import Draft202012Validator, SchemaError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gym_mcp import Call, Environment, Options, Reward, Task, Transcript
from gym_mcp.environment import Step
from gym_mcp.models.sampler import Sampler
from gym_mcp.tools import Tool
from verifiers.structured import Fences, Format, Parsed, coerced, parse, render, strictened, violation
from verifiers.tool_calls import read_call


def _schema_text(text: str) -> str:
    try:
        schema = json.loads(text)
        Draft202012Validator.check_schema(strictened(schema))
    except ValueError as e:
        raise ValueError(f"not JSON: {e}") from None
    except SchemaError as e:
        raise ValueError(f"not a JSON Schema: {e.message}") from None
    if not isinstance(schema, dict):
        raise ValueError("a schema is a JSON object")
    return text


class Function(BaseModel):
    """A function as the Responses API declares it."""

    model_config = ConfigDict(extra="ignore")
    name: str
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})


class Row(BaseModel):
    """The schema, and where and in which format the value is expected; other published fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    schema_str: Annotated[str, AfterValidator(_schema_text)]
    schema_type: Format = "json"
    response_mode: Literal["text", "tool_call"] = "text"
    tools: list[Function] = Field(default_factory=list)
    tool_name: str | None = None
    tool_payload_key: str | None = None
    reference: Any = None
    """A value that fits; without one, the solution draws its own."""

    @model_validator(mode="after")
    def _names_its_tool(self) -> Self:
        if self.response_mode == "tool_call" and self.tool_name not in [tool.name for tool in self.tools]:
            raise ValueError(f"tool_name: the row has no tool `{self.tool_name}`")
        return self


class StructuredOutputs(Environment[Row]):
    """Give a document that fits a schema, as the reply or as the arguments of a call."""

    domain = "instruction_following"
    tags = ("structured-output", "json-schema", "single-turn")

    class Options(Options):
        """`fences`: whether a document may, or must, stand in a code fence. `strict`: see the README."""

        fences: Fences = "refuse"
        strict: bool = True

    def open(self, task: Task[Row]) -> None:
        self.made = 0

    def tools_for(self, task: Task[Row]) -> Iterator[Tool]:
        for tool in task.data.tools:
            yield Tool.from_schema(tool.name, tool.description or "", tool.parameters, _take_call, validated=False)

    def take_call(self) -> str:
        """Count a call; nothing is carried out, and the episode is over."""
        self.made += 1
        self.done = True
        return "The call is recorded."

    def verify(self, transcript: Transcript) -> Reward:
        called = self.task.data.response_mode == "tool_call"
        parsed = self._payload(transcript) if called else self._document(transcript.text)
        problem = self._misfit(parsed.value) if parsed.ok else ""
        fits = parsed.ok and not problem
        return Reward(float(fits), {"parsed": float(parsed.ok)}, parsed.note or problem)

    def _document(self, text: str) -> Parsed:
        return parse(text, self.task.data.schema_type, fences=self.options.fences)

    def _payload(self, transcript: Transcript) -> Parsed:
        row, made = self.task.data, [read_call(item) for item in transcript.calls()]
        if len(made) != 1:
            return Parsed(False, note=f"{len(made)} calls, not 1")
        [call] = made
        if call.name != row.tool_name:
            return Parsed(False, note=f"a call of {call.name}, not of {row.tool_name}"[:200])
        if call.arguments is None:
            return Parsed(False, note="the arguments are no JSON object")
        if row.tool_payload_key is None:
            return Parsed(True, call.arguments)
        if row.tool_payload_key not in call.arguments:
            return Parsed(False, note=f"no argument `{row.tool_payload_key}`")
        return Parsed(True, call.arguments[row.tool_payload_key])

    def _misfit(self, value: Any) -> str:
        """Why a value does not fit: the first problem of the first reading, empty when one reading fits."""
        row, schema = self.task.data, self._schema()
        if row.response_mode == "tool_call" or row.schema_type not in ("xml", "csv"):
            return violation(value, schema)
        if not value:
            return "a header without rows"
        problems = [
            next(filter(None, (violation(coerced(part, schema), schema) for part in parts)), "")
            for parts in _readings(value, schema)
        ]
        return "" if "" in problems else problems[0]

    def _schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = json.loads(self.task.data.schema_str)
        return strictened(schema) if self.options.strict else schema

    def solution(self) -> Iterator[Step]:
        row = self.task.data
        value = row.reference if row.reference is not None else _example(self._schema())
        if row.response_mode == "tool_call" and row.tool_name is not None:
            payload = value if row.tool_payload_key is None else {row.tool_payload_key: value}
            yield Call(row.tool_name, **payload)
        else:
            document = render(value, row.schema_type)
            yield f"```{row.schema_type}\n{document}\n```" if self.options.fences == "require" else document


def _take_call(environment: StructuredOutputs, arguments: dict[str, Any]) -> str:
    return environment.take_call()


def _readings(value: Any, schema: dict[str, Any]) -> list[list[Any]]:
    """What a document without types may mean, each a list of values that must all fit.

    CSV: the rows as one array, or each row by itself where the schema is not of an array. XML: what the root
    holds, or the root as the only key.
    """
    if isinstance(value, list):
        return [[value]] if schema.get("type") == "array" else [value]
    [content] = value.values()
    return [[content], [value]]


def _example(schema: dict[str, Any]) -> Any:
    """A value that fits, the same for the same schema, without nulls and empty lists where it can do without."""
    best: Any = None
    for seed in range(64):
        best = Sampler(schema, random.Random(seed)).sample()
        if _is_full(best):
            break
    return best


def _is_full(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_full, value.values()))
    if isinstance(value, list):
        return bool(value) and all(map(_is_full, value))
    return value is not None and (not isinstance(value, str) or value.strip() == value != "")
