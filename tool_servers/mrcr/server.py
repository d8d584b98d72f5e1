"""Multi-round coreference: repeat one of several similar texts from earlier in a long conversation."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, model_validator

from gym_mcp import Environment, Reward, Transcript
from verifiers.text import sequence_ratio

MAX_CHARS: Final = 400_000
"""A longer reply scores 0.0: comparing takes time that grows with its length."""


class Row(BaseModel):
    """The text to repeat, which starts with the prefix; other published fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    expected_answer: str
    random_string_to_prepend: str

    @model_validator(mode="after")
    def _starts_with_the_prefix(self) -> Row:
        if not self.expected_answer.startswith(self.random_string_to_prepend):
            raise ValueError("expected_answer does not start with random_string_to_prepend")
        return self


class Mrcr(Environment[Row]):
    """Repeat one of several similar texts from a long conversation, after a given prefix."""

    domain = "long-context"
    tags = ("long-context", "recall", "single-turn")

    def verify(self, transcript: Transcript) -> Reward:
        reply, row = transcript.text, self.task.data
        prefix = row.random_string_to_prepend
        if not reply or not reply.startswith(prefix):
            return Reward(0.0, {"prefix": 0.0}, "the reply does not start with the prefix")
        if len(reply) > MAX_CHARS:
            return Reward(0.0, {"prefix": 1.0}, f"the reply has more than {MAX_CHARS:,} characters")
        ratio = sequence_ratio(reply.removeprefix(prefix), row.expected_answer.removeprefix(prefix))
        return Reward(ratio, {"prefix": 1.0}, f"similarity {ratio:.4f}")

    def solution(self) -> str:
        return self.task.data.expected_answer
