"""Short answers whose meaning is compared with the reference answer by a judge model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gym_mcp import Environment, JudgeError, Options, Reward, Transcript
from gym_mcp.types import text_of
from verifiers.choice import boxes, unwrap
from verifiers.extract import by_patterns
from verifiers.judge import Prompt, Verdict, checked_prompt, equality
from verifiers.judging import pointwise
from verifiers.normalise import folded
from verifiers.patterns import TooSlow
from verifiers.rows import Template
from verifiers.votes import Votes

RENDERINGS: Final = (
    "\\boxed{%s}",
    "<final_answer>%s</final_answer>",
    "((%s))",
    "**%s**",
    "<final>%s</final>",
    "%s",
)


def _prompt(name: str | Path) -> str | Path:
    return checked_prompt(name, fields=("question", "gold", "answer"))


class Row(BaseModel):
    """The reference answer, and how the prompt wants it given; other published fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    expected_answer: str = Field(min_length=1)
    template_metadata: Template | None = None


class EquivalenceLlmJudge(Environment[Row]):
    """Answer a question so that a judge finds the answer equivalent to the reference."""

    domain = "knowledge"
    tags = ("judge", "open-answer", "single-turn")
    call_timeout = 600.0  # a judge's endpoint may need retries

    class Options(Options):
        """How the judge is asked; the README says what each option does."""

        exact: bool = True
        swap: bool = False
        reward_if_swap_fails: float = Field(0.0, ge=0, le=1)
        rescue: bool = True
        rescue_reward: float = Field(0.5, ge=0, le=1)
        max_gold_chars: int = Field(120, ge=0)
        votes: int = Field(1, ge=1, le=99)
        unreadable: Literal["differs", "fail"] = "differs"
        prompt: Annotated[str | Path, AfterValidator(_prompt)] = "equivalence"

    async def verify(self, transcript: Transcript) -> Reward:
        gold, reply = self.task.data.expected_answer, transcript.answer.strip()
        if not reply:
            return Reward(0.0, {}, "no answer")
        extracted = self._extract(reply)
        answer = reply if extracted is None else extracted
        if self.options.exact and self._same(answer, gold):
            return Reward(1.0, {"exact": 1.0}, "the reference answer itself")
        first = await self._ask(gold, answer)
        if not first.equal:
            return await self._rescue(first, gold, reply if extracted is not None else None)
        if not self.options.swap:
            return Reward(1.0, {"judge": 1.0}, "the judge finds them equal")
        second = await self._ask(answer, gold)
        parts = {"judge": 1.0, "swapped": float(second.equal is True)}
        if second.equal:
            return Reward(1.0, parts, "the judge finds them equal in both orders")
        return Reward(self.options.reward_if_swap_fails, parts, f"equal, but swapped {_said(second)}")

    async def _rescue(self, first: Verdict, gold: str, reply: str | None) -> Reward:
        """What an unequal answer gets: the whole reply, where it says more, may still earn a part."""
        parts = {"judge": 0.0}
        if reply is None or not self.options.rescue:
            return Reward(0.0, parts, _said(first))
        second = await self._ask(gold, reply)
        parts["rescued"] = float(second.equal is True)
        if second.equal:
            return Reward(self.options.rescue_reward, parts, f"{_said(first)}, but the whole reply is equal")
        return Reward(0.0, parts, f"{_said(first)}, for the whole reply too")

    async def _ask(self, gold: str, answer: str) -> Verdict:
        prompt = Prompt.named(self.options.prompt)
        filled = prompt.fill(question=self._question(), gold=gold, answer=answer)
        cast = await pointwise(self.judge.ask, filled, equality, votes=self.options.votes)
        said = Votes(tuple(verdict for verdict in cast.readable if verdict.equal is not None))
        if said.majority is None and self.options.unreadable == "fail":
            raise JudgeError("the judge's votes are tied" if said.tied else "the judge states neither label")
        return said.majority or Verdict(None, None)

    def _question(self) -> str:
        """The text of the last user message."""
        asked = [text_of(item) for item in self.task.prompt if item.get("role") == "user"]
        return asked[-1] if asked else ""

    def _extract(self, reply: str) -> str | None:
        """What the row's pattern finds last; None without one, or a match in time, or if the reference is long."""
        row = self.task.data
        if row.template_metadata is None or len(row.expected_answer) > self.options.max_gold_chars:
            return None
        patterns = row.template_metadata.output_regex
        try:
            return by_patterns(reply, patterns, "last", flags=re.DOTALL | re.MULTILINE)
        except TooSlow:
            return None

    def _same(self, answer: str, gold: str) -> bool:
        """Whether the answer or its last box is the reference text, case, white space and wrappers aside."""
        forms = [answer, *boxes(answer)[-1:]]
        return any(folded(unwrap(form)) == folded(unwrap(gold)) for form in forms)

    def solution(self) -> str:
        gold = self.task.data.expected_answer
        texts = [rendering % gold for rendering in RENDERINGS]
        return next((text for text in texts if self._same(self._extract(text) or "", gold)), texts[0])


def _said(verdict: Verdict) -> str:
    return f"the judge says {verdict.label or 'neither label'}"
