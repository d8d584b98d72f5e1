"""Multiple choice in a single turn: the reply states one option letter."""

from __future__ import annotations

import string
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from gym_mcp import Environment, Options, Reward, Transcript
from verifiers.choice import Choice, Mode, extract_choice
from verifiers.rows import OptionTexts, Template

ANY_LETTER: Final = dict.fromkeys(string.ascii_uppercase, "")
"""The options of a row that says nothing of them."""
RENDERINGS: Final = ("Answer: \\boxed{%s}", "\\boxed{%s}", "Answer: %s", "%s")


class Row(BaseModel):
    """A question's options and its key; other published fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    options: OptionTexts | None = None
    expected_answer: str
    grading_mode: Mode | None = None
    template_metadata: Template | None = None


class Settings(Options):
    """`box`: which box counts. `grading_mode`: used for every row, whatever the row says."""

    box: Literal["first", "last"] = "first"
    grading_mode: Mode | None = None


class Mcqa(Environment[Row]):
    """Answer a multiple-choice question with its option letter."""

    domain = "knowledge"
    tags = ("multiple-choice", "single-turn")

    Options = Settings

    def verify(self, transcript: Transcript) -> Reward:
        choice = self._read(transcript.text)
        gold = self.task.data.expected_answer.strip().upper()
        correct = bool(gold) and choice.letter == gold
        extracted = {"extracted": float(choice.letter is not None)}
        return Reward(float(correct), extracted, choice.note, choice.letter or "")

    def _read(self, text: str) -> Choice:
        row = self.task.data
        mode = self.options.grading_mode or row.grading_mode or "strict_single_letter_boxed"
        patterns = row.template_metadata.output_regex if row.template_metadata else ()
        options = ANY_LETTER if row.options is None else row.options
        return extract_choice(text, options, mode, box=self.options.box, patterns=patterns)

    def solution(self) -> str:
        gold = self.task.data.expected_answer.strip().upper()
        texts = [rendering % gold for rendering in RENDERINGS]
        return next((text for text in texts if self._read(text).letter == gold), texts[0])
