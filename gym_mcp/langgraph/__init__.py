"""LangGraph graphs as harnesses. Needs `gym-mcp[langgraph]`; importing this package imports nothing of it yet.

`model` and `tools` stand for the model and the environment's tools of whichever rollout runs: a graph file may use
them at import time. `GraphHarness` makes a harness of a function that builds a graph.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gym_mcp.errors import UsageError

if TYPE_CHECKING:
    from gym_mcp.langgraph.chat import ChatModel, model
    from gym_mcp.langgraph.harness import GraphHarness
    from gym_mcp.langgraph.stage import session
    from gym_mcp.langgraph.toolbox import EnvironmentTool, run_calls, tools

_HOMES = {
    "ChatModel": "chat",
    "EnvironmentTool": "toolbox",
    "GraphHarness": "harness",
    "model": "chat",
    "run_calls": "toolbox",
    "session": "stage",
    "tools": "toolbox",
}
__all__ = ["ChatModel", "EnvironmentTool", "GraphHarness", "model", "run_calls", "session", "tools"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    try:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as e:
        if e.name is None or not e.name.startswith("lang"):
            raise
        raise UsageError(f"langgraph harnesses need {e.name}: pip install 'gym-mcp[langgraph]'") from None
