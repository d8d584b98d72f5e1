"""A LangGraph graph of your own: `-H langgraph:my_graph.py:graph`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from gym_mcp.errors import UsageError
from gym_mcp.harness import Harness
from gym_mcp.options import Options as BaseOptions

argument = "graph"


class Options(BaseOptions):
    """`graph`: FILE.py, or FILE.py:NAME. `state`: what the graph's input holds besides `messages`.

    `resume`: the answer, any JSON value, to interrupts where the environment has no user who could give one.
    """

    graph: str = ""
    resume: Any = None
    state: dict[str, Any] = Field(default_factory=dict)


def create(options: Options) -> Harness:
    """The harness of the file's graph."""
    file, _, name = options.graph.partition(":")
    path = Path(file)
    if not file:
        raise UsageError("harness langgraph: which graph? write langgraph:FILE.py:GRAPH")
    if not path.is_file():
        raise UsageError(f"harness langgraph: {options.graph}: no such file; write langgraph:FILE.py:GRAPH")
    from gym_mcp.langgraph import GraphHarness

    return GraphHarness.of_file(path.resolve(), name, options.state, options.resume)
