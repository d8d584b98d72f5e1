"""An evaluation over a rung that the command line does not offer: `python -m perf.rung memory|stdio eval run`."""

from __future__ import annotations

import os
import sys
from typing import Any

from gym_mcp.cli.main import main
from gym_mcp.client import EnvironmentClient
from gym_mcp.coordinator import connect
from gym_mcp.hub import load_environment
from gym_mcp.mcp_client import MemoryClient, StdioClient


def over(rung: str) -> None:
    """Have evaluations reach their environment over `rung`."""

    async def connect_environment(config: Any) -> tuple[EnvironmentClient, Any]:
        cls = load_environment(config.environment)
        if rung == "memory":
            return MemoryClient(cls), cls
        command = [sys.executable, "-m", "gym_mcp.cli.main", "serve", config.environment, "--stdio", "--operator"]
        return StdioClient(command, env=dict(os.environ)), cls

    connect.connect_environment = connect_environment


if __name__ == "__main__":
    over(sys.argv[1])
    main(sys.argv[2:])
