"""Reports of runs: a page, Markdown, a flat table, the terminal. Every number comes from `gym_mcp.analysis`."""
