"""Multiple choice in a single turn: the reply states one option letter."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from gym_mcp import Environment, Options, Reward, Transcript
from verifiers.choice import Choice, Mode, extract_choice

RENDERINGS: Final = ("Answer: \\boxed{%s}", "\\boxed{%s}", "Answer: %s", "%s")


def _merge(value: Any) -> Any:
    """One dict from `[{"A": ...}, {"B": ...}]`; letters in upper case, options without a text left out."""
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        value = {letter: text for entry in value for letter, text in entry.items()}
    if not isinstance(value, dict):
        return value
    return {str(letter).strip().upper(): str(text) for letter, text in value.items() if text is not None}


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as e:
        raise ValueError(f"not a regular expression: {e}") from None
    return pattern


def _as_list(value: Any) -> Any:
    return [] if value is None else [value] if isinstance(value, str) else value


class Template(BaseModel):
    """How the prompt asks for the answer, and how it is read back."""

    model_config = ConfigDict(extra="ignore")
    output_regex: Annotated[list[Annotated[str, AfterValidator(_compiled)]], BeforeValidator(_as_list)] = []


class Row(BaseModel):
    """A question's options and its key; other published fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    options: Annotated[dict[str, str], BeforeValidator(_merge)] = Field(default_factory=dict)
    expected_answer: str
    grading_mode: Mode | None = None
    template_metadata: Template | None = None


class Mcqa(Environment[Row]):
    """Answer a multiple-choice question with its option letter."""

    domain = "knowledge"
    tags = ("multiple-choice", "single-turn")

    class Options(Options):
        """`box`: which box counts. `grading_mode`: used for every row, whatever the row says."""

        box: Literal["first", "last"] = "first"
        grading_mode: Mode | None = None

    def verify(self, transcript: Transcript) -> Reward:
        choice = self._read(transcript.text)
        gold = self.task.data.expected_answer.strip().upper()
        correct = bool(gold) and choice.letter == gold
        return Reward(float(correct), {"extracted": float(choice.letter is not None)}, choice.note)

    def _read(self, text: str) -> Choice:
        row = self.task.data
        mode = self.options.grading_mode or row.grading_mode or "strict_single_letter_boxed"
        patterns = row.template_metadata.output_regex if row.template_metadata else ()
        return extract_choice(text, row.options, mode, box=self.options.box, patterns=patterns)

    def solution(self) -> str:
        gold = self.task.data.expected_answer.strip().upper()
        texts = [rendering % gold for rendering in RENDERINGS]
        return next((text for text in texts if self._read(text).letter == gold), texts[0])
