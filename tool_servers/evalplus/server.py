"""Functions from their descriptions, in a single turn: the program must pass unit tests."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gym_mcp import Environment, Options, Reward, Transcript
from verifiers.code import CodeResult, Grader
from verifiers.code_extract import Fence, extract_program
from verifiers.sandbox import MIB, Limits
from verifiers.sandbox_local import in_thread


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Row(BaseModel):
    """Tests as Python code that must not raise; `setup` runs before them.

    `preamble` stands before the reply's program unless the program begins with it (HumanEval: the given head of
    the function). `entry_point`: the function that tests know as `candidate`, too. `reference`: a program that
    passes.
    """

    model_config = ConfigDict(extra="ignore")
    tests: Annotated[list[str], BeforeValidator(_as_list)] = Field(min_length=1)
    setup: str = ""
    entry_point: str = ""
    preamble: str = ""
    reference: str | None = None


class EvalPlusOptions(Options):
    """`seconds` and `memory_mib` of one test; `packages`: distributions that programs and tests may import."""

    seconds: float = Field(default=10.0, gt=0)
    memory_mib: int = Field(default=4_096, ge=64)
    packages: tuple[str, ...] = ()
    fence: Fence = "last_python"


class EvalPlus(Environment[Row]):
    """Write a Python function that passes its unit tests."""

    domain = "coding"
    tags = ("code-execution", "single-turn")
    call_timeout = 3_600.0
    Options = EvalPlusOptions

    async def verify(self, transcript: Transcript) -> Reward:
        program = extract_program(transcript.text, self.options.fence)
        if program is None or not program.strip():
            return Reward(0.0, {"extracted": 0.0, "fraction": 0.0}, "no closed ```python block")
        result = await in_thread(self._grade, program)
        return Reward(result.score, {"extracted": 1.0, "fraction": result.fraction}, result.note)

    def _grade(self, program: str) -> CodeResult:
        row, options = self.task.data, self.options
        if not program.startswith(row.preamble):
            program = f"{row.preamble}\n{program}"
        limits = Limits(seconds=options.seconds, memory=options.memory_mib * MIB)
        grader = Grader(limits, tuple(options.packages), stop_early=False)
        return grader.unit_tests(program, row.tests, entry_point=row.entry_point, setup=row.setup)

    def solution(self) -> str:
        if self.task.data.reference is None:
            raise NotImplementedError(f"task {self.task.id} has no reference program")
        return f"```python\n{self.task.data.reference}\n```"
