"""For agents that have a shell and no MCP: the episode's tools as a command of their own, and words about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gym_mcp.agents import bridge
from gym_mcp.agents.agent import Link
from gym_mcp.agents.place import Place
from gym_mcp.types import ToolSpec

_ABOUT = """{text}

You work on this task with these shell commands, which act on the task's own environment:

{tools}

`gym-mcp tools` lists them again. Arguments may also be one JSON object: gym-mcp call TOOL '{{"key": "value"}}'"""


def put_bridge(place: Place) -> None:
    """Put the command `gym-mcp` on the agent's PATH: one file, for a contained agent sees nothing else of ours."""
    python = os.path.realpath(sys.executable)
    source = Path(bridge.__file__).read_text(encoding="utf-8")
    place.write(place.bin / "gym-mcp", f"#!{python} -ISB\n{source}", executable=True)


def bridge_environment(link: Link) -> dict[str, str]:
    """What the command needs to find the episode."""
    return {bridge.VARIABLE: link.mcp_url} if link.mcp_url is not None else {}


def with_tools(text: str, tools: Sequence[ToolSpec]) -> str:
    """The task's `text`, and how its tools are called from a shell."""
    if not tools:
        return text
    told = [
        bridge.describe({"name": t.name, "description": t.description, "inputSchema": t.input_schema})
        for t in tools
    ]
    return _ABOUT.format(text=text, tools="\n\n".join(told))
