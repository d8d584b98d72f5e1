"""Mathematics with a Python session: compute with the tool, state the answer in a box."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gym_mcp import Call, Environment, Options, Reward, Task, Transcript, tool
from gym_mcp.types import text_of
from verifiers.choice import boxes, unwrap
from verifiers.extract import between
from verifiers.sandbox import MIB, Limits
from verifiers.sandbox_host import available
from verifiers.sandbox_local import in_thread
from verifiers.sandbox_session import PythonSession

Box: TypeAlias = Literal["balanced", "first_brace"]
PACKAGES: Final = ("numpy", "scipy", "pandas", "sympy")
_SESSION_SECONDS: Final = 6 * 3_600.0
_SHORT_BOX: Final = (re.compile(r"\\boxed\{"), re.compile(r"\}"))
_DELIMITERS: Final = re.compile(r"\\\(|\\\)|\$")
_ENDS: Final = {
    "timeout": "The code took longer than {seconds:g} s.",
    "output": "The code wrote too much.",
    "died": "The interpreter ended.",
}
_RESTART: Final = " The session was ended: the next call starts a new one, without any of its variables."


class Row(BaseModel):
    """The expected answer; `code` is what the reference solution computes with, which published rows lack."""

    model_config = ConfigDict(extra="ignore")
    expected_result: str
    code: list[str] = []

    @field_validator("expected_result", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class MathWithCode(Environment[Row]):
    """Solve a mathematical problem with the help of Python; the answer stands in a box."""

    domain = "math"
    tags = ("code-execution", "multi-step")
    call_timeout = 300.0

    class Options(Options):
        """`seconds` is for one execution. `compare`: `exact` text or number, or `symbolic` by math-verify.

        `box`: a box ends at the brace that balances its own, or at the first closing brace.
        """

        seconds: float = Field(default=10.0, gt=0, le=200)
        memory_mib: int = Field(default=1_024, ge=128)
        compare: Literal["exact", "symbolic"] = "exact"
        box: Box = "balanced"
        max_output_chars: int = Field(default=20_000, ge=100)

    def open(self, task: Task[Row]) -> None:
        self._session: PythonSession | None = None
        self._cells: list[str] = []
        self._ran = 0

    @tool
    async def execute_python(self, code: str) -> str:
        """Execute Python code to perform calculations.

        Variables stay from call to call. What is printed comes back; `result` is the value of a last line that is
        an expression. numpy, scipy, pandas and sympy can be imported where they are installed; there is no network
        and files are gone at the end.

        Args:
            code: The Python code to execute.
        """
        self._cells.append(code)
        return await in_thread(self._execute)

    @tool
    async def end_session(self) -> str:
        """End the Python session. The next execution starts a new one."""
        self._cells.clear()
        await in_thread(self._end)
        return "The session has ended."

    def _execute(self) -> str:
        """Run the cells that the session has not seen: one, or all of them after `restore`."""
        text = ""
        for cell in self._cells[self._ran :]:
            text = self._run(cell)
        return text

    def _run(self, code: str) -> str:
        seconds = self.options.seconds
        if self._session is None:
            limits = Limits(_SESSION_SECONDS, 3_600.0, self.options.memory_mib * MIB, output=MIB)
            self._session = PythonSession(limits, available(PACKAGES))
        self._ran += 1
        done = self._session.run(code, seconds)
        out, err = self._cut(done.stdout), self._cut(done.stderr)
        if done.ended is not None:
            err += _ENDS[done.ended].format(seconds=seconds) + _RESTART
            self._cells.clear()
            self._end()
        return json.dumps({"stdout": out, "stderr": err, "result": self._cut(done.result)})

    def _cut(self, text: str | None) -> Any:
        limit = self.options.max_output_chars
        if text is None or len(text) <= limit:
            return text
        return f"{text[: limit // 2]}\n[{len(text) - limit} characters left out]\n{text[-limit // 2 :]}"

    def _end(self) -> None:
        session, self._session = self._session, None
        self._ran = 0
        if session is not None:
            session.close()

    def close(self) -> None:
        self._end()

    def snapshot(self) -> list[str]:
        return list(self._cells)

    def restore(self, snapshot: Any) -> None:
        """Back to the same variables: the cells run again before the next one."""
        self._end()
        self._cells = list(snapshot)
        self.done = False

    async def verify(self, transcript: Transcript) -> Reward:
        answer = find_answer(transcript, self.options.box)
        if answer is None:
            return Reward(0.0, {"extracted": 0.0}, "no closed \\boxed{}", "")
        gold = self.task.data.expected_result
        if self.options.compare == "symbolic":
            equal, note = await in_thread(_symbolic, answer, gold)
        else:
            equal = same_answer(answer, gold)
            note = f"{answer[:100]!r} is {'' if equal else 'not '}the answer"
        return Reward(float(equal), {"extracted": 1.0}, note, answer)

    def solution(self) -> Iterator[Call | str]:
        for cell in self.task.data.code:
            yield Call("execute_python", code=cell)
        yield f"\\boxed{{{self.task.data.expected_result}}}"


def find_answer(transcript: Transcript, box: Box = "balanced") -> str | None:
    """The last closed box of the newest message that has one; else that of the newest tool output."""
    for item in reversed(list(transcript.messages())):
        if found := _boxes(text_of(item), box):
            return found[-1]
    for item in reversed(transcript.items):
        if item.get("type") == "function_call_output" and (found := _boxes(_stdout(item.get("output")), box)):
            return found[-1]
    return None


def _boxes(text: str, box: Box) -> list[str]:
    return boxes(text) if box == "balanced" else list(between(text, *_SHORT_BOX))


def _stdout(output: Any) -> str:
    try:
        said = json.loads(output)
        return str(said["stdout"])
    except (ValueError, TypeError, KeyError):
        return ""


def same_answer(answer: str, gold: str) -> bool:
    """Equal text, delimiters and text wrappers aside; or numbers within 1e-6 of the larger of 1 and gold."""
    a, b = _plain(answer), _plain(gold)
    if not b:
        return False
    if a == b:
        return True
    try:
        x, y = float(a), float(b)
    except ValueError:
        return False
    return abs(x - y) <= 1e-6 * max(1.0, abs(y))


def _plain(text: str) -> str:
    return unwrap(_DELIMITERS.sub("", text)).strip()


def _symbolic(answer: str, gold: str) -> tuple[bool, str]:
    from verifiers.math import verify_math

    found = verify_math(answer, gold, form="answer")
    return found.score == 1.0, found.note
