"""A conversation of several turns: the user has follow-up questions, and the last answer counts."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field

from gym_mcp import Environment, Reward, Task, Transcript
from gym_mcp.environment import Step
from gym_mcp.types import text_of


class Row(BaseModel):
    """What the user asks next, and what the last answer must contain."""

    model_config = ConfigDict(extra="ignore")
    follow_ups: list[str] = Field(default_factory=list)
    expected_answer: str = Field(min_length=1)


class MultiTurnGymnasium(Environment[Row]):
    """Answer a question and all its follow-ups; the last answer is checked."""

    domain = "knowledge"
    tags = ("multi-turn", "example")

    def open(self, task: Task[Row]) -> None:
        self.answers: list[str] = []

    def reply(self, message: str) -> str | None:
        self.answers.append(message)
        asked, follow_ups = len(self.answers) - 1, self.task.data.follow_ups
        return follow_ups[asked] if asked < len(follow_ups) else None

    def verify(self, transcript: Transcript) -> Reward:
        answers = max(self.answers, _answers(transcript), key=len)
        due = len(self.task.data.follow_ups) + 1
        if len(answers) < due:
            return Reward(0.0, {"turns": float(len(answers))}, f"{len(answers)} of {due} questions answered")
        found = self.task.data.expected_answer.casefold() in answers[-1].casefold()
        note = "the last answer holds it" if found else "the last answer does not hold it"
        return Reward(float(found), {"turns": float(len(answers))}, note)

    def solution(self) -> Iterator[Step]:
        for number, _ in enumerate(self.task.data.follow_ups, 1):
            yield f"That is answer {number}."
        yield f"It is {self.task.data.expected_answer}."


def _answers(transcript: Transcript) -> list[str]:
    """The agent's answers in a recorded conversation: its text between the messages of the user."""
    answers: list[str] = [""]
    for item in transcript.items:
        if item.get("role") == "user":
            answers.append("")
        elif item.get("role") == "assistant":
            answers[-1] += text_of(item)
    return [answer for answer in answers if answer]
