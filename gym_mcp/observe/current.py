"""Which rollout, and which span of it, the running code belongs to, for models and transports."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gym_mcp.observe.stages import Activity

activity: ContextVar[Activity | None] = ContextVar("gym_mcp.activity", default=None)
"""The rollout whose model call this is."""
traceparent: ContextVar[str] = ContextVar("gym_mcp.traceparent", default="")
"""The header of W3C Trace Context that goes out with requests; empty unless spans were asked for."""
