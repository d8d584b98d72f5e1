"""Gemini CLI, Google's coding agent, headless (`gemini -p`)."""

from __future__ import annotations

import json
from typing import Any

from gym_mcp.agents.agent import Agent, AgentOptions, Launch, Link, Report, Turn
from gym_mcp.agents.harness import AgentHarness
from gym_mcp.agents.package import Package
from gym_mcp.agents.place import Place
from gym_mcp.agents.relay import SERVER

Options = AgentOptions
_DAY_MS = 24 * 60 * 60 * 1_000
# `tools.core: []` would take the MCP tools away, too.
_OWN_TOOLS = (
    "activate_skill ask_user cli_help codebase_investigator enter_plan_mode exit_plan_mode generalist "
    "get_internal_docs glob google_web_search grep_search list_directory read_file read_many_files replace "
    "run_shell_command save_memory search_file_content write_file write_todos web_fetch invoke_agent update_topic "
    "complete_task tracker_create_task list_background_processes read_background_output"
).split()


class StreamJSON(Report):
    """The events of `--output-format stream-json`."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.result: dict[str, Any] | None = None
        self.error = ""

    def event(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "init":
            self.session = event.get("session_id")
        elif kind == "error" and event.get("severity") == "error":
            self.error = str(event.get("message"))[:300]
        elif kind == "result":
            self.result = event

    def complaint(self, exit_code: int | None) -> str | None:
        if self.result is None:
            return f"ended without a result{f': {self.error}' if self.error else ''}"
        if self.result.get("status") != "success" or exit_code != 0:
            return f"reports an error: {json.dumps(self.result.get('error'))[:300]}"
        return None


class GeminiCLI(Agent):
    name = "gemini-cli"
    package = Package("npm", "@google/gemini-cli", "0.61.0", "gemini")
    path = ""
    memory_mib = 400
    parses_text = True
    report = StreamJSON

    def prepare(self, place: Place, link: Link, options: AgentOptions, *, skills: bool) -> None:
        settings: dict[str, Any] = {
            "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
            "tools": {} if options.shell else {"exclude": _OWN_TOOLS},
            "privacy": {"usageStatisticsEnabled": False},
            "telemetry": {"enabled": False},
            "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
            "model": {"name": link.model},
        }
        if link.mcp_url is not None:
            settings["mcpServers"] = {SERVER: {"httpUrl": link.mcp_url, "trust": True, "timeout": _DAY_MS}}
        place.write(place.home / ".gemini" / "settings.json", json.dumps(settings))

    def launch(self, place: Place, link: Link, turn: Turn, options: AgentOptions) -> Launch:
        arguments = ["--output-format", "stream-json", "--approval-mode", "yolo", "--model", link.model]
        env = {
            "GOOGLE_GEMINI_BASE_URL": link.model_url,
            "GEMINI_API_KEY": link.key,
            "GEMINI_CLI_TRUST_WORKSPACE": "true",
            "GEMINI_CLI_NO_RELAUNCH": "true",
        }
        return Launch([*arguments, *options.arguments], env)


def create(options: AgentOptions) -> AgentHarness:
    return AgentHarness(GeminiCLI(), options)
