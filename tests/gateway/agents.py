"""Real coding agents in front of a gateway session and an episode; installed with npm into a cache (once)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gym_mcp.gateway import GatewaySession
from tests import npm

PACKAGES: Final = ("@anthropic-ai/claude-code@2.1.329", "@openai/codex@0.169", "@google/gemini-cli@0.61.0")
PROMPT: Final = "Count to 2 with the add tool."


@dataclass(frozen=True)
class Ran:
    """An agent's exit code and what it printed."""

    code: int | None
    out: str
    err: str

    @property
    def last(self) -> Any:
        """The last line of JSON on stdout."""
        return json.loads([line for line in self.out.splitlines() if line.startswith("{")][-1])


def cache() -> Path:
    return npm.cache("agents")


def install() -> None:
    """Install the agents unless they are there; `npm.Unavailable` says why not."""
    npm.install(cache(), PACKAGES)


def claude(home: Path, session: GatewaySession, url: str) -> tuple[list[str], dict[str, str]]:
    """Claude Code's command and environment variables."""
    servers = json.dumps({"mcpServers": {"env": {"type": "http", "url": url}}})
    command = ["claude", "-p", "--output-format", "stream-json", "--verbose", "--strict-mcp-config"]
    command += ["--mcp-config", servers, "--allowedTools", "mcp__env", "--tools", "", "--", PROMPT]
    return command, {
        "ANTHROPIC_BASE_URL": session.base_url,
        "ANTHROPIC_API_KEY": session.key,
        "ANTHROPIC_MODEL": session.model_name,
        "CLAUDE_CONFIG_DIR": str(home / "claude"),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }


def codex(home: Path, session: GatewaySession, url: str) -> tuple[list[str], dict[str, str]]:
    """Codex's command and environment variables."""
    settings = {
        "model_provider": "gateway",
        "model": session.model_name,
        "model_providers.gateway.name": "gateway",
        "model_providers.gateway.base_url": f"{session.base_url}/v1",
        "model_providers.gateway.env_key": "GATEWAY_KEY",
        "model_providers.gateway.wire_api": "responses",
        "mcp_servers.env.url": url,
        "mcp_servers.env.required": True,
        "mcp_servers.env.default_tools_approval_mode": "approve",
        "web_search": "disabled",
    }
    command = ["codex", "exec", "--json", "--ephemeral", "--skip-git-repo-check", "--ignore-user-config"]
    for name, value in settings.items():
        command += ["-c", f"{name}={json.dumps(value)}"]
    (home / "codex").mkdir()
    return [*command, PROMPT], {"CODEX_HOME": str(home / "codex"), "GATEWAY_KEY": session.key}


def gemini(home: Path, session: GatewaySession, url: str) -> tuple[list[str], dict[str, str]]:
    """Gemini CLI's command and environment variables."""
    settings = {
        "mcpServers": {"env": {"httpUrl": url, "trust": True}},
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"disableAutoUpdate": True},
    }
    (home / ".gemini").mkdir()
    (home / ".gemini" / "settings.json").write_text(json.dumps(settings))
    command = ["gemini", "--skip-trust", "-y", "-m", session.model_name, "-o", "json", "-p", PROMPT]
    return command, {"GOOGLE_GEMINI_BASE_URL": session.base_url, "GEMINI_API_KEY": session.key}


AGENTS = {"claude": claude, "codex": codex, "gemini": gemini}


async def play(name: str, folder: Path, session: GatewaySession, url: str, seconds: float = 60.0) -> Ran:
    """Run one agent to its end, in a home and a process group of its own."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    command, variables = AGENTS[name](home, session, url)
    environ = {"PATH": npm.search_path(cache()), "HOME": str(home), **variables}
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environ,
        cwd=work,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return Ran(process.returncode, out.decode(), err.decode())
