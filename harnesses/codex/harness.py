"""Codex CLI, OpenAI's coding agent, headless (`codex exec`)."""

from __future__ import annotations

import json
from typing import Any

from gym_mcp.agents.agent import Agent, AgentOptions, Launch, Link, Report, Turn
from gym_mcp.agents.harness import AgentHarness
from gym_mcp.agents.package import Package
from gym_mcp.agents.place import Place
from gym_mcp.agents.relay import SERVER

Options = AgentOptions
_KEY = "GYM_MCP_MODEL_KEY"
_NO_SHELL = ("shell_tool", "unified_exec", "view_image")
_OFF = ("goals", "apps", "plugins")
_DAY = 86_400


class Events(Report):
    """The events of `codex exec --json`."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.completed = False
        self.failed = ""

    def event(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "thread.started":
            self.session = event.get("thread_id")
        elif kind == "turn.completed":
            self.completed, self.failed = True, ""
        elif kind in ("turn.failed", "error"):
            error = event.get("error")
            said = error.get("message") if isinstance(error, dict) else event.get("message")
            self.failed = str(said)[:300]

    def complaint(self, exit_code: int | None) -> str | None:
        if not self.completed:
            return f"did not complete its turn{f': {self.failed}' if self.failed else ''}"
        return None if exit_code == 0 else f"exit code {exit_code}"


class Codex(Agent):
    name = "codex"
    package = Package("npm", "@openai/codex", "0.169.0", "codex")
    memory_mib = 80
    resumable = True
    skills_folder = ".codex/skills"
    report = Events

    def prepare(self, place: Place, link: Link, options: AgentOptions, *, skills: bool) -> None:
        place.write(place.home / ".codex" / "config.toml", _config(link, options))

    def launch(self, place: Place, link: Link, turn: Turn, options: AgentOptions) -> Launch:
        arguments = ["exec", "--json", "--skip-git-repo-check"]
        if options.shell:
            arguments += ["--dangerously-bypass-approvals-and-sandbox"]
        if not turn.keep:
            arguments += ["--ephemeral"]
        arguments += options.arguments
        if turn.session is not None:
            arguments += ["resume", turn.session]
        # MCP servers' approval is by mode, not by question: nobody is there to answer.
        return Launch([*arguments, "-"], {"CODEX_HOME": str(place.home / ".codex"), _KEY: link.key})


def _config(link: Link, options: AgentOptions) -> str:
    """`config.toml`. JSON strings, numbers and booleans are TOML ones."""
    features = {name: False for name in (*_OFF, *(() if options.shell else _NO_SHELL))}
    sections: dict[str, dict[str, Any]] = {
        "": {
            "model": link.model,
            "model_provider": "gym",
            "approval_policy": "never",
            "sandbox_mode": "read-only",
            "web_search": "disabled",
            "check_for_update_on_startup": False,
        },
        "model_providers.gym": {
            "name": "gym",
            "base_url": link.model_url,
            "wire_api": "responses",
            "env_key": _KEY,
            "request_max_retries": 1,  # the model behind the gateway has had its own
            "stream_max_retries": 1,
            "stream_idle_timeout_ms": _DAY * 1_000,
        },
        "features": features,
        "agents": {"enabled": False},
        "skills.bundled": {"enabled": False},
        "analytics": {"enabled": False},
        "history": {"persistence": "none"},
    }
    if link.mcp_url is not None:
        sections[f"mcp_servers.{SERVER}"] = {
            "url": link.mcp_url,
            "required": True,
            "default_tools_approval_mode": "approve",
            "startup_timeout_sec": 60,
            "tool_timeout_sec": _DAY,
        }
    lines: list[str] = []
    for name, values in sections.items():
        lines += [f"[{name}]"] if name else []
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def create(options: AgentOptions) -> AgentHarness:
    return AgentHarness(Codex(), options)
