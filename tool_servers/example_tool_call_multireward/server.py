"""One tool call, three rewards: the right call, a valid call, and nothing but the call."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gym_mcp import Call, Environment, Reward, Transcript, tool
from gym_mcp.errors import ToolError
from gym_mcp.types import text_of
from verifiers.tool_calls import ToolCall, read_call


class ExpectedCall(BaseModel):
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Row(BaseModel):
    """The call that must be made; other published fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    expected_call: ExpectedCall


class ToolCallMultireward(Environment[Row]):
    """Answer with exactly one tool call and no text: three rewards, summed."""

    domain = "agent"
    tags = ("tools", "multi-reward", "example")
    reward_range = (0.0, 3.0)

    @tool(read_only=True)
    def get_weather(self, city: str) -> str:
        """Get the current weather in a city.

        Args:
            city: Name of the city.
        """
        self.done = True
        answer = {"city": city, "weather_description": f"The weather in {city} is sunny."}
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))

    def verify(self, transcript: Transcript) -> Reward:
        wanted = ToolCall(self.task.data.expected_call.name, self.task.data.expected_call.arguments)
        made = [read_call(item) for item in transcript.calls()]
        silent = not any(text_of(message).strip() for message in transcript.messages())
        components = {
            "correctness": float(wanted in made),
            "schema_valid": float(bool(made) and all(map(self._is_valid, made))),
            "format": float(len(made) == 1 and silent),
        }
        return Reward(sum(components.values()), components, ", ".join(map(str, made)) or "no call")

    def _is_valid(self, call: ToolCall) -> bool:
        declared = self.tools().get(call.name)
        if declared is None or call.arguments is None:
            return False
        try:
            declared.validate(call.arguments)
        except ToolError:
            return False
        return True

    def solution(self) -> list[Call]:
        call = self.task.data.expected_call
        return [Call(call.name, **call.arguments)]
