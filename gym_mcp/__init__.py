"""gym-mcp: evaluate, train and diagnose agents on environments that are MCP servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gym_mcp.environment import Environment, Options
    from gym_mcp.errors import JudgeError, ToolError, VerifierError
    from gym_mcp.tools import Tool, tool
    from gym_mcp.types import Call, GroupRollout, Image, Reward, Task, Transcript

__version__ = "0.1.0"

# Looked up on first use: `import gym_mcp` and `gym-mcp --help` must not pay for pydantic.
_WHERE = {
    "Environment": "environment",
    "Options": "environment",
    "JudgeError": "errors",
    "ToolError": "errors",
    "VerifierError": "errors",
    "Tool": "tools",
    "tool": "tools",
    "Call": "types",
    "GroupRollout": "types",
    "Image": "types",
    "Reward": "types",
    "Task": "types",
    "Transcript": "types",
}

__all__ = [
    "Call",
    "Environment",
    "GroupRollout",
    "Image",
    "JudgeError",
    "Options",
    "Reward",
    "Task",
    "Tool",
    "ToolError",
    "Transcript",
    "VerifierError",
    "tool",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value
