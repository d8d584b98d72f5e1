"""Any MCP server as an environment: one server process per episode, in a directory of its own."""

from __future__ import annotations

from gym_mcp.wrapped.environment import WrappedEnvironment

__all__ = ["WrappedEnvironment"]
