"""The smallest environment with a tool: a weather service that always says the same."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from gym_mcp import Call, Environment, Reward, Task, Transcript, tool
from gym_mcp.environment import Step


class Row(BaseModel):
    """`cities`: what the reference solution asks for; published rows have no data."""

    model_config = ConfigDict(extra="ignore")
    cities: list[str] = []


class SingleToolCall(Environment[Row]):
    """Tell what the weather is like, with one tool; every episode gets full marks."""

    domain = "agent"
    tags = ("tools", "example")
    floor = 1.0

    def open(self, task: Task[Row]) -> None:
        self._asked: list[str] = []

    @tool(read_only=True)
    def get_weather(self, city: str) -> dict[str, str]:
        """Get the weather in a city.

        Args:
            city: Name of the city.
        """
        self._asked.append(city)
        return {"city": city, "weather_description": f"The weather in {city} is cold."}

    def verify(self, transcript: Transcript) -> Reward:
        return Reward(1.0, {"calls": float(len(self._asked))})

    def solution(self) -> Iterator[Step]:
        cities = self.task.data.cities
        if cities:
            yield [Call("get_weather", city=city) for city in cities]
        yield f"It is cold in {' and in '.join(cities)}." if cities else "Which city do you mean?"
