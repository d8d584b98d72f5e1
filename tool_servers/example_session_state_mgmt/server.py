"""The smallest stateful environment: a counter that belongs to one episode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from gym_mcp import Call, Environment, Task, Transcript, tool
from gym_mcp.environment import Step


class Row(BaseModel):
    """`steps`: increments that the prompt names in order; when absent, one increment by the difference."""

    model_config = ConfigDict(extra="ignore")
    initial_count: int
    expected_count: int
    steps: list[int] | None = None

    @model_validator(mode="after")
    def _steps_lead_there(self) -> Self:
        if self.steps is not None and self.initial_count + sum(self.steps) != self.expected_count:
            raise ValueError("steps do not lead from initial_count to expected_count")
        return self


class SessionState(Environment[Row]):
    """Bring a counter, whose start is not shown, to the value that the request implies."""

    domain = "agent"
    tags = ("tools", "state", "example")

    def open(self, task: Task[Row]) -> None:
        self.count = task.data.initial_count

    @tool
    def increment_counter(self, count: int) -> dict[str, bool]:
        """Add a number to the counter.

        Args:
            count: How much to add; may be negative.
        """
        self.count += count
        return {"success": True}

    @tool(read_only=True)
    def get_counter_value(self) -> dict[str, int]:
        """Read the counter."""
        return {"count": self.count}

    def verify(self, transcript: Transcript) -> float:
        return float(self.count == self.task.data.expected_count)

    def solution(self) -> Iterator[Step]:
        row = self.task.data
        steps = row.steps if row.steps is not None else [row.expected_count - row.initial_count]
        for step in steps:
            yield Call("increment_counter", count=step)
        yield Call("get_counter_value")
        yield f"The counter now reads {row.expected_count}."
