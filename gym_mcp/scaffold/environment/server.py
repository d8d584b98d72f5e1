"""An agent packs a customer's order out of a stock room."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, Field

from gym_mcp import Call, Environment, Reward, Task, ToolError, Transcript, tool
from gym_mcp.environment import Step


class Row(BaseModel):
    """The data of one task. The agent never sees it; a row that does not fit is refused by file and line."""

    stock: dict[str, int]
    order: dict[str, int] = Field(min_length=1)


class MyEnvironment(Environment[Row]):
    """Pack exactly what the customer ordered."""

    domain = "example"
    tags = ("state",)

    # An instance is one episode: whatever `open` sets on it is the episode's own state.
    def open(self, task: Task[Row]) -> None:
        self.stock = dict(task.data.stock)
        self.box: dict[str, int] = {}

    @tool(read_only=True)
    def look(self) -> dict[str, int]:
        """Return what is left in the stock room, by item."""
        return self.stock

    @tool
    def pack(self, item: str, count: int) -> str:
        """Move items from the stock room into the box; returns what the box then holds.

        Args:
            item: Name of the item, as `look` gives it.
            count: How many to move, at least 1.
        """
        if count < 1:
            raise ToolError(f"count is {count}; it must be at least 1")  # the model reads this and can mend it
        if self.stock.get(item, 0) < count:
            raise ToolError(f"There are only {self.stock.get(item, 0)} of `{item}`.")
        self.stock[item] -= count
        self.box[item] = self.box.get(item, 0) + count
        return ", ".join(f"{n} {name}" for name, n in sorted(self.box.items()))

    # Score what happened, not what the agent claims: here the box, in others the transcript's answer.
    def verify(self, transcript: Transcript) -> Reward:
        order = self.task.data.order
        packed = sum(min(count, self.box.get(item, 0)) for item, count in order.items())
        return Reward(float(self.box == order), components={"packed": packed / sum(order.values())})

    # With a reference solution, `gym-mcp env test` proves that every task can be solved.
    def solution(self) -> Iterator[Step]:
        for item, count in self.task.data.order.items():
            yield Call("pack", item=item, count=count)
        yield "The order is packed."
