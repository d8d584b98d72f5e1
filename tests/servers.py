"""Real servers for tests: in this process on a free port, or as a child process."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gym_mcp.environment import Environment
from gym_mcp.hub import load_environment
from gym_mcp.server.keys import read_key
from gym_mcp.server.run import Serving, serve
from gym_mcp.server.service import Service
from gym_mcp.store import EpisodeStore

LADDER = Path(__file__).parent / "environments" / "ladder.py"


@dataclass(frozen=True)
class Running:
    """A server in this process. `url` is the environment's, such as `http://127.0.0.1:4321/ladder`."""

    url: str
    key: str
    service: Service
    endpoints: Serving

    @property
    def store(self) -> EpisodeStore:
        return self.service.store


@asynccontextmanager
async def running(
    state: Path, cls: type[Environment[Any]] | None = None, **options: Any
) -> AsyncIterator[Running]:
    """Serve an environment class (the ladder's by default) on a free port of loopback."""
    service = Service(cls or load_environment(str(LADDER)), **options.pop("service", {}))
    stop, up = asyncio.Event(), asyncio.get_running_loop().create_future()
    key_file = state / "operator.key"
    server = asyncio.create_task(
        serve([service], port=0, key_file=key_file, ready=up.set_result, stop=stop, **options)
    )
    await asyncio.wait([server, up], timeout=20, return_when=asyncio.FIRST_COMPLETED)
    if server.done():
        await server
    serving: Serving = up.result()
    operator = serving.endpoints[service.name].operator_url
    try:
        yield Running(operator.removesuffix("/operator/mcp"), read_key(key_file), service, serving)
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await server


def serve_command(*arguments: str) -> list[str]:
    """The command line of `gym-mcp serve` with this interpreter."""
    return [sys.executable, "-m", "gym_mcp.cli.main", "serve", *arguments]


@contextmanager
def child(state: Path, arguments: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """`gym-mcp serve ... --json` as a child process; what it printed when it was ready."""
    command = serve_command(*(arguments or [str(LADDER)]), "--http", "127.0.0.1:0", "--json")
    environ = {**os.environ, "XDG_STATE_HOME": str(state)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "the server ended before it was ready"
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()
