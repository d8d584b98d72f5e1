"""Competitive programming in a single turn: one Python program, run against tests."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gym_mcp import Environment, Options, Reward, Transcript
from verifiers.code import CodeResult, FunctionCall, Grader
from verifiers.code_extract import Fence, extract_program, leaks_thinking
from verifiers.sandbox import MIB, Limits
from verifiers.sandbox_local import in_thread


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _argument(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return line


class UnitTests(BaseModel):
    """Inputs and expected outputs, of a program or, with `fn_name`, of a function.

    For a function each input is a list of arguments or text with one JSON value a line, and an output is a value
    or its JSON.
    """

    model_config = ConfigDict(extra="ignore")
    inputs: list[Any] = Field(min_length=1)
    outputs: list[Any]
    fn_name: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> UnitTests:
        if len(self.inputs) != len(self.outputs):
            raise ValueError(f"{len(self.inputs)} inputs, but {len(self.outputs)} outputs")
        return self

    def calls(self) -> list[FunctionCall]:
        """The tests of a function."""
        arguments = [
            [_argument(line) for line in value.split("\n")] if isinstance(value, str) else list(value)
            for value in self.inputs
        ]
        outputs = [_argument(value) if isinstance(value, str) else value for value in self.outputs]
        return [FunctionCall(a, b) for a, b in zip(arguments, outputs, strict=True)]

    def cases(self) -> list[tuple[str, str]]:
        """The tests of a program: stdin and stdout."""
        return [(_text(a), _text(b)) for a, b in zip(self.inputs, self.outputs, strict=True)]


def _text(value: Any) -> str:
    """Some published tests are lists of lines."""
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


class Row(BaseModel):
    """The tests; `solution` is a reference program, which published rows lack."""

    model_config = ConfigDict(extra="ignore")
    unit_tests: Annotated[UnitTests, BeforeValidator(_parsed)]
    solution: str | None = None


class CodeGen(Environment[Row]):
    """Write a Python program that passes all tests of a programming contest's problem."""

    domain = "coding"
    tags = ("code-execution", "single-turn")
    call_timeout = 3_600.0

    class Options(Options):
        """`seconds` and `memory_mib` are for one test. `think_tags`: what a think tag in the reply does."""

        seconds: float = Field(default=10.0, gt=0)
        memory_mib: int = Field(default=4_096, ge=64)
        fence: Fence = "last_two_marks"
        think_tags: bool = False
        """Whether a reply with a think tag in it may score."""
        all_tests: bool = False
        """Run on after a failure, so that `fraction` counts all tests."""
        packages: tuple[str, ...] = ()
        """Distributions that programs may import besides the standard library, `numpy` say."""

    async def verify(self, transcript: Transcript) -> Reward:
        program = extract_program(transcript.text, self.options.fence)
        if program is None or not program.strip():
            return Reward(0.0, {"extracted": 0.0, "fraction": 0.0}, "no program between fences")
        result = await in_thread(self._grade, program)
        parts = {"extracted": 1.0, "fraction": result.fraction}
        if leaks_thinking(transcript.text) and not self.options.think_tags:
            return Reward(0.0, parts, f"a think tag in the reply; {result.note}")
        return Reward(result.score, parts, result.note)

    def _grade(self, program: str) -> CodeResult:
        options = self.options
        limits = Limits(seconds=options.seconds, memory=options.memory_mib * MIB)
        grader = Grader(limits, tuple(options.packages), stop_early=not options.all_tests)
        tests = self.task.data.unit_tests
        if tests.fn_name:
            return grader.call_tests(program, tests.fn_name, tests.calls())
        return grader.io_tests(program, tests.cases())

    def solution(self) -> str:
        program = self.task.data.solution
        if program is None:
            raise NotImplementedError(f"task {self.task.id} has no reference program")
        return f"```python\n{program}\n```"
