"""Three tool calls on per-episode state, a final answer, a final-state check."""

from __future__ import annotations

from gym_mcp import Environment, Task, Transcript, tool


class Counter(Environment):
    """Raise a counter to the task's target."""

    def open(self, task: Task) -> None:
        self.value, self.target = 0, task.data["target"]

    @tool
    def add(self, amount: int) -> int:
        """Add `amount` to the counter and return its new value."""
        self.value += amount
        return self.value

    def verify(self, transcript: Transcript) -> float:
        return float(self.value == self.target)
