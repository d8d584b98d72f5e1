"""One model call, exact match: the smallest episode there is."""

from __future__ import annotations

from gym_mcp import Environment, Task, Transcript


class Echo(Environment):
    """Answer with the expected word."""

    def open(self, task: Task) -> None:
        self.expected = task.data["expected"]

    def verify(self, transcript: Transcript) -> float:
        return float(transcript.answer == self.expected)
