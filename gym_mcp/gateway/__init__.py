"""The model gateway: OpenAI Responses, Chat Completions, Anthropic Messages and Gemini in front of any model.

For agents that bring their own loop. `docs/gateway.md` describes it.
"""

from gym_mcp.gateway.server import Gateway
from gym_mcp.gateway.session import GatewaySession

__all__ = ["Gateway", "GatewaySession"]
