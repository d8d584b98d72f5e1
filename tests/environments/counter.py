"""The counter of the design: two tools, state and a verifier."""

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

    @tool
    def read(self) -> int:
        """Return the counter's value."""
        return self.value

    def verify(self, transcript: Transcript) -> float:
        return float(self.value == self.target)

    @classmethod
    def tasks(cls) -> list[dict[str, object]]:
        return [{"id": "two", "prompt": "Count to 2.", "data": {"target": 2}}]
