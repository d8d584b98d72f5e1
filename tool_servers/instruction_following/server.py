"""Instructions that a program can check: does the reply obey all of them, to the letter?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gym_mcp import Environment, Options, Reward, Transcript
from gym_mcp.types import text_of
from verifiers.instructions import Evaluation, Result, check_all, problem
from verifiers.instructions.language import MISSING as LANGUAGE_GUESSED

Mode: TypeAlias = Literal["binary", "fraction"]
Text: TypeAlias = Literal["last_item", "last_message", "all_messages"]


class Row(BaseModel):
    """Ids of instructions with their arguments; other published fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    instruction_id_list: list[str] = Field(min_length=1)
    kwargs: list[dict[str, Any] | None] = Field(default_factory=list)
    grading_mode: Mode | None = None
    reference: str = ""
    """A text that follows all instructions; published rows have none."""

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        if len(self.kwargs) > len(self.instruction_id_list):
            raise ValueError("more kwargs than instructions")
        self.kwargs = [*self.kwargs, *([None] * (len(self.instruction_id_list) - len(self.kwargs)))]
        for name, kwargs in zip(self.instruction_id_list, self.kwargs, strict=True):
            if unfit := problem(name, kwargs):
                raise ValueError(unfit)
        return self


class InstructionFollowing(Environment[Row]):
    """Follow every instruction of the prompt, to the letter."""

    domain = "instruction_following"
    tags = ("ifeval", "single-turn")

    class Options(Options):
        """`grading_mode`: used for every row, whatever the row says. `evaluation`: what the reward rests on."""

        grading_mode: Mode | None = None
        evaluation: Evaluation = "strict"
        text: Text = "last_item"

    def verify(self, transcript: Transcript) -> Reward:
        text = graded_text(transcript, self.options.text)
        strict, loose = self._results(text, "strict"), self._results(text, "loose")
        components = {**_shares("strict", strict), **_shares("loose", loose)}
        part = "all" if self._mode() == "binary" else "fraction"
        return Reward(components[f"{self.options.evaluation}_{part}"], components, self._notes(strict))

    def _mode(self) -> Mode:
        mode: Mode = self.options.grading_mode or self.task.data.grading_mode or "binary"
        return mode

    def _results(self, text: str, evaluation: Evaluation) -> list[Result]:
        row = self.task.data
        asked = "\n".join(text_of(item) for item in self.task.prompt if item.get("role") == "user")
        return check_all(row.instruction_id_list, row.kwargs, text, asked, evaluation=evaluation)

    def _notes(self, results: Sequence[Result]) -> str:
        """What was not followed, and what was followed with a reservation."""
        pairs = zip(self.task.data.instruction_id_list, results, strict=True)
        return "; ".join(f"{name}: {r.note}" for name, r in pairs if not r.followed or r.note == LANGUAGE_GUESSED)

    def solution(self) -> str:
        return self.task.data.reference


def _shares(name: str, results: Sequence[Result]) -> dict[str, float]:
    followed = [result.followed for result in results]
    return {f"{name}_all": float(all(followed)), f"{name}_fraction": sum(followed) / len(followed)}


def graded_text(transcript: Transcript, which: Text) -> str:
    """The text under one of the published conventions.

    `last_item`: the first part of the last output item, when that is a message. `last_message`: all of the last
    assistant message. `all_messages`: all of them, joined without a separator.
    """
    if which == "all_messages":
        return transcript.text
    if which == "last_message":
        return transcript.answer
    last = transcript.items[-1] if transcript.items else {}
    if last.get("type", "message") != "message" or last.get("role") != "assistant":
        return ""
    content = last.get("content")
    return text_of({"content": content[:1] if isinstance(content, list) else content})
