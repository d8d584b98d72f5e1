"""Several calls that build on each other: read values one by one, then hand them over in order."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field

from gym_mcp import Call, Environment, Reward, Task, Transcript, tool
from gym_mcp.environment import Step
from verifiers.tool_calls import read_call


class Row(BaseModel):
    """The synonyms of the right term and their values in order, and the term, whose own value is not wanted."""

    model_config = ConfigDict(extra="ignore")
    expected_synonyms: list[str] = Field(min_length=1)
    expected_synonym_values: list[int] = Field(min_length=1)
    minefield_label: str = ""
    minefield_label_value: int | None = None


class MultiStep(Environment[Row]):
    """Collect the values of a term's synonyms and hand them over in the listed order."""

    domain = "instruction_following"
    tags = ("tools", "multi-step", "example")

    def open(self, task: Task[Row]) -> None:
        self.extracted: list[int] | None = None

    @tool(read_only=True)
    def get_synonym_value(self, synonym: str) -> dict[str, int]:
        """Get the value of a synonym.

        Args:
            synonym: The synonym to get the value of.
        """
        return {"synonym_value": sum(map(ord, synonym))}

    @tool
    def extract_synonym_values(self, synonym_values: list[int]) -> dict[str, bool]:
        """Hand over the values of the synonyms of the term that the question is about. The last call counts.

        Args:
            synonym_values: The values, in the order in which the synonyms are listed.
        """
        self.extracted = synonym_values
        return {"success": True}

    def verify(self, transcript: Transcript) -> Reward:
        expected = self.task.data.expected_synonym_values
        values = self.extracted if self.extracted is not None else _last_extraction(transcript)
        if values is None:
            return Reward(0.0, {"accuracy": 0.0, "set_overlap": 0.0}, "no values were handed over")
        right, same_set = values == expected, sorted(values) == sorted(expected)
        components = {
            "accuracy": float(right),
            "set_overlap": len(set(expected) & set(values)) / len(set(expected)),
            "original_term_minefield_hit": float(self.task.data.minefield_label_value in values),
            "order_instruction_following_failure": float(same_set and not right),
        }
        return Reward(float(right), components, f"{values} handed over"[:200])

    def solution(self) -> Iterator[Step]:
        row = self.task.data
        for synonym in row.expected_synonyms:
            yield Call("get_synonym_value", synonym=synonym)
        yield Call("extract_synonym_values", synonym_values=row.expected_synonym_values)
        yield str(row.expected_synonym_values)


def _last_extraction(transcript: Transcript) -> list[int] | None:
    """The values of the last well-formed `extract_synonym_values` in a recorded transcript."""
    for item in reversed(transcript.calls()):
        call = read_call(item)
        values = (call.arguments or {}).get("synonym_values")
        if call.name == "extract_synonym_values" and isinstance(values, list):
            return values if all(type(value) is int for value in values) else None
    return None
