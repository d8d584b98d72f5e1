"""Graph operations on an edge list in the prompt: the reply's last line lists the nodes found."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict

from gym_mcp import Environment, Reward, Transcript
from verifiers.extract import last_line
from verifiers.text import set_overlap

_FINAL: Final = re.compile(r"Final Answer:\s*\[")


def _nodes(value: Any) -> Any:
    """A list of names, from a list or from its JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError("neither a list nor the JSON text of one") from None
    return [str(node) for node in value] if isinstance(value, list) else value


class Row(BaseModel):
    """The nodes to find; other published fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    expected_answer: Annotated[list[str], BeforeValidator(_nodes)]


class Graphwalks(Environment[Row]):
    """Find the nodes of a graph that a breadth-first search reaches, or a node's parents."""

    domain = "long-context"
    tags = ("long-context", "graphs", "single-turn")

    def verify(self, transcript: Transcript) -> Reward:
        line = last_line(transcript.text)
        found, end = _FINAL.search(line), line.rfind("]")
        if found is None or end < found.end():
            return Reward(0.0, {}, "the last line holds no `Final Answer: [...]`")
        nodes = {node.strip() for node in line[found.end() : end].split(",")} - {""}
        overlap = set_overlap(nodes, self.task.data.expected_answer)
        parts = {"precision": overlap.precision, "recall": overlap.recall}
        return Reward(overlap.f1, parts, f"{len(nodes)} nodes named")

    def solution(self) -> str:
        return f"Final Answer: [{', '.join(self.task.data.expected_answer)}]"
