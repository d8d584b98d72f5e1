"""An environment as MCP servers: the agent plane, the operator plane, and what serves them."""
