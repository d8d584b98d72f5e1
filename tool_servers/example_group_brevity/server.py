"""Scores that depend on the other rollouts of the task: right answers compete in brevity."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from gym_mcp import Environment, GroupRollout, Reward, Task, Transcript
from verifiers.extract import number
from verifiers.normalise import as_number, same_number


class Row(BaseModel):
    """`answer`: the number that is right."""

    answer: float


class GroupBrevity(Environment[Row]):
    """Answer a question with the right number, in fewer words than the other rollouts of the task."""

    domain = "agent"
    tags = ("example", "group")

    def verify(self, transcript: Transcript) -> Reward:
        said = number(transcript.text, "last")
        value = None if said is None else as_number(said)
        right = value is not None and same_number(value, self.task.data.answer, abs_=1e-6)
        notes = "no number" if said is None else f"read {said}"
        return Reward(float(right), {"right": float(right), "words": len(transcript.text.split())}, notes)

    @classmethod
    def verify_group(cls, task: Task[Row], rollouts: Sequence[GroupRollout]) -> list[Reward]:
        """1 for the shortest right answer, down to 1/2 for the longest by rank; ties share; a wrong one gets 0."""
        words = sorted(r.reward.components["words"] for r in rollouts if r.reward.score)
        rewards = []
        for rollout in rollouts:
            alone = rollout.reward
            shorter = sum(w < alone.components["words"] for w in words)
            score = 1 - shorter / (2 * max(1, len(words) - 1)) if alone.score else 0.0
            rewards.append(Reward(score, {**alone.components, "shorter": shorter}, alone.notes))
        return rewards

    def solution(self) -> str:
        return f"{self.task.data.answer:g}"
