"""Finished runs as an MCP server, for agents that explain them."""
