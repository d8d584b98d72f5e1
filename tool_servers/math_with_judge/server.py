"""Mathematics in a single turn: symbolic equality first, a judge model second where that is switched on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gym_mcp import Environment, Options, Reward, Transcript
from verifiers.judge import Prompt, checked_prompt, equality
from verifiers.math import MathResult, require_math, verify_math_async

require_math()


def _prompt(name: str | Path) -> str | Path:
    return checked_prompt(name, fields=("question", "first", "second"))


class Row(BaseModel):
    """The problem and its answer; other published fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    question: str = ""
    expected_answer: str


class MathWithJudge(Environment[Row]):
    """Solve a mathematics problem and put the answer in \\boxed{}."""

    domain = "math"
    tags = ("math", "single-turn")
    call_timeout = 600.0  # a judge's endpoint may need retries

    class Options(Options):
        """`judge`: ask a judge about answers that are not symbolically equal. `prompt`: a name or a .txt file."""

        judge: bool = False
        prompt: Annotated[str | Path, AfterValidator(_prompt)] = "math_equivalence"
        timeout: float = Field(10.0, gt=0, le=40)

    async def verify(self, transcript: Transcript) -> Reward:
        text = transcript.text
        result = await verify_math_async(
            text, self.task.data.expected_answer, form="reply", timeout=self.options.timeout
        )
        parts = {"symbolic": result.score}
        if result.score or not self.options.judge or not text.strip():
            return Reward(result.score, parts, _told(result), result.extracted or "")
        score, note = await self._judged(result.extracted or text)
        return Reward(score, {**parts, "judge": score}, f"{_told(result)}; {note}", result.extracted or "")

    async def _judged(self, answer: str) -> tuple[float, str]:
        """1.0 if the judge finds gold and answer equal in both orders; it is asked again only after a yes."""
        row = self.task.data
        question = row.question or "(not given)"
        prompt = Prompt.named(self.options.prompt)
        for first, second in ((row.expected_answer, answer), (answer, row.expected_answer)):
            reply = await self.judge.ask(prompt.fill(question=question, first=first, second=second))
            verdict = equality(reply, which="first")
            if not verdict.equal:
                return 0.0, f"the judge says {verdict.label or 'neither label'}"
        return 1.0, "the judge finds them equal in both orders"

    def solution(self) -> str:
        gold = self.task.data.expected_answer.strip()
        return gold if "\\boxed" in gold else f"\\boxed{{{gold}}}"


def _told(result: MathResult) -> str:
    return f"{result.note}: {result.extracted:.200}" if result.extracted else result.note
