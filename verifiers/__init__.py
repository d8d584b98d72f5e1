"""Pure scoring functions that environments share. They import nothing of gym-mcp."""
