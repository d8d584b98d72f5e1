"""Real agents against a scripted model endpoint: agent, gateway, HTTP endpoint; agent, relay, environment."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from gym_mcp import hub
from gym_mcp.agents.package import Installed, install
from gym_mcp.client import EnvironmentClient
from gym_mcp.coordinator.rollout import Arm, run_rollout
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import GymError
from gym_mcp.harness import Harness, Limits
from gym_mcp.models.spec import make_model
from gym_mcp.types import JSONObject, Task, user_message
from tests.endpoint import Answer, Body, Endpoint, Reply, Script, call, message, tool_outputs
from tests.environments.lab import Lab
from tests.support import missing
from tests.support import run as run_bounded

MCP_AGENTS = ("claude-code", "codex", "qwen-code", "opencode", "gemini-cli")
FAST_AGENTS = ("claude-code", "codex")
LEGACY_CLAUDE = "2.1.197"


run = functools.partial(run_bounded, limit=170.0)
"""Real agents start slowly on a machine that is busy."""


@functools.cache
def installed(name: str, version: str = "") -> Installed:
    """The agent of a harness, installed into the cache that all tests share."""
    import gym_mcp.cli.harness as verbs

    try:
        return install(name, verbs._agent(name).package, version)
    except GymError as e:
        missing(f"{name} cannot be installed: {e}")


def offered(body: Body) -> list[str]:
    """Names of the functions that a request offers, in either dialect."""
    return [str(t.get("name") or t["function"]["name"]) for t in body.get("tools") or ()]


def calling_as_offered(calls: Sequence[tuple[str, Any]], final: str = "done") -> Script:
    """One call a turn under whatever name the agent gives the tool, then `final`. Stateless."""

    def script(body: Body, n: int) -> Answer:
        names = offered(body)
        done = len(tool_outputs(body))
        if not names or done >= len(calls):
            return Reply([message(final)], input_tokens=100, output_tokens=7)
        tool, arguments = calls[done]
        name = next((n for n in names if n == tool or n.endswith(f"_{tool}")), tool)
        return Reply([call(name, arguments, f"call_{done}")], input_tokens=100, output_tokens=7)

    return script


@dataclass
class Played:
    """The terminal row, and what the endpoint was asked."""

    row: JSONObject
    bodies: list[Body] = field(default_factory=list)

    @property
    def outcome(self) -> tuple[Any, ...]:
        failure = self.row["failure"]
        return self.row["outcome"], self.row["reward"], failure and failure["kind"]

    @property
    def outputs(self) -> list[Any]:
        return [i["output"] for i in self.row["response"]["output"] if i["type"] == "function_call_output"]


async def play(
    name: str,
    script: Script,
    *,
    data: JSONObject | None = None,
    cls: type[Environment[Any]] = Lab,
    client: EnvironmentClient | None = None,
    limits: Limits | None = None,
    options: JSONObject | None = None,
    prompt: str = "Bring the counter to 3, then say done.",
    dialect: str = "openai-chat",
    skills: Any = None,
    before: Callable[[Harness, Endpoint], Any] | None = None,
) -> Played:
    """The row of one rollout of harness `name`, whose model is a scripted endpoint behind HTTP."""
    _, harness, _ = hub.load_harness(name, options or {})
    if skills is not None:
        harness.use_skills(skills)  # type: ignore[attr-defined]
    async with Endpoint(script, record=True) as endpoint, client or DirectClient(cls) as environment:
        model = make_model(f"{dialect}/m", base_url=endpoint.url, price=(1.0, 1.0), max_retries=0)
        arm = Arm(
            "run", 0, cls.name, environment, model, name, harness, limits or Limits(turns=20, seconds=100), 1
        )
        task: Task[Any] = Task("t", [user_message(prompt)], {"target": 3, **(data or {})})
        if before is not None:
            before(harness, endpoint)
        try:
            row = await run_rollout(arm, task, 0, 0)
        finally:
            await model.aclose()
            await harness.aclose()  # type: ignore[attr-defined]
    orjson.dumps(row)
    return Played(row, endpoint.bodies)


def processes_with(text: str) -> list[int]:
    """Process ids whose command line or environment holds `text`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            seen = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if text.encode() in seen and state != "Z" and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def agent_processes() -> list[int]:
    """Processes that live in a place of this test's rollouts."""
    return processes_with(f"{tempfile.gettempdir()}/gym-mcp-agent-")
