"""Graduate-level multiple choice in a single turn: the last letter that the reply states counts."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from gym_mcp import Environment, Reward, Transcript
from verifiers.choice_last import extract_last_choice
from verifiers.rows import OptionTexts, Template


class Row(BaseModel):
    """A question's options and its key; other published fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    options: OptionTexts = Field(min_length=1)
    expected_answer: str
    template_metadata: Template | None = None


class GpqaDiamond(Environment[Row]):
    """Answer a graduate-level science question with its option letter."""

    domain = "knowledge"
    tags = ("multiple-choice", "science", "single-turn")

    def verify(self, transcript: Transcript) -> Reward:
        row = self.task.data
        patterns = row.template_metadata.output_regex if row.template_metadata else ()
        choice = extract_last_choice(transcript.text, row.options, patterns=patterns)
        gold = row.expected_answer.strip().upper()
        extracted = {"extracted": float(choice.letter is not None)}
        correct = choice.letter is not None and choice.letter == gold
        return Reward(float(correct), extracted, choice.note, choice.letter or "")

    def solution(self) -> str:
        return f"Answer: {self.task.data.expected_answer.strip().upper()}"
