"""Run the official conformance suite and Inspector against an agent plane: `python -m tests.conformance.run`.

Node 22, the suite and the Inspector are installed with npm into `$XDG_CACHE_HOME/gym-mcp/conformance` (once).
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from gym_mcp.http import HTTPClient
from gym_mcp.server.keys import read_key
from gym_mcp.types import Task, user_message
from tests import npm
from tests.servers import child

HERE: Final = Path(__file__).parent
REVISIONS: Final = ("2025-11-25", "2026-07-28")
NODE: Final = "node@22"
# The Inspector after Node: its newer versions are only chosen where Node 22 runs npm.
PACKAGES: Final = (NODE, "@modelcontextprotocol/conformance@0.2.0-alpha.12", "@modelcontextprotocol/inspector@2")
_RUN_SECONDS: Final = 240


@dataclass(frozen=True)
class Ran:
    """What a command printed, and its exit code."""

    code: int
    output: str


def cache() -> Path:
    return npm.cache("conformance")


def install() -> None:
    """Install the tools unless they are there; `npm.Unavailable` says why not."""
    npm.install(cache(), PACKAGES)


def run(command: Sequence[str], seconds: float = _RUN_SECONDS) -> Ran:
    done = subprocess.run(
        command,
        env={**os.environ, "PATH": npm.search_path(cache())},
        timeout=seconds,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return Ran(done.returncode, done.stdout)


def suite(url: str, revision: str) -> Ran:
    """All server scenarios of one revision; code 0 when exactly the expected ones fail."""
    expected = yaml.safe_load((HERE / "expected-failures.yml").read_text())
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as baseline:
        yaml.safe_dump({"server": expected["both"] + expected.get(revision, [])}, baseline)
        baseline.flush()
        options = ["--suite", "all", "--spec-version", revision, "--expected-failures", baseline.name]
        return run(["conformance", "server", "--url", url, *options])


def inspect(url: str, *arguments: str) -> Ran:
    """One method through the Inspector's command line."""
    return run(["mcp-inspector", "--cli", "--server-url", url, "--transport", "http", *arguments])


def open_url(served: dict[str, Any]) -> str:
    """The agent plane of a new episode on a served fixture."""

    async def main() -> str:
        key = read_key(Path(served["operator_key_file"]))
        (endpoints,) = served["environments"].values()
        async with HTTPClient(endpoints["operator_url"], key) as client:
            episode = await client.open_episode(Task("one", [user_message("Say hello.")]), seed=0)
            assert episode.agent.url is not None
            return episode.agent.url

    return asyncio.run(main())


def main() -> int:
    install()
    with tempfile.TemporaryDirectory() as state, child(Path(state), [str(HERE / "fixture.py")]) as served:
        url = open_url(served)
        ran = [suite(url, revision) for revision in REVISIONS]
        ran.append(inspect(url, "--method", "tools/list", "--strict"))
        ran.append(inspect(url, "--method", "tools/call", "--tool-name", "test_simple_text"))
    for done in ran:
        sys.stdout.write(done.output[-6_000:] + "\n")
    return max(done.code for done in ran)


if __name__ == "__main__":
    sys.exit(main())
