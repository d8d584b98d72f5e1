"""Qwen Code, headless (`qwen -p`)."""

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
_OWN_TOOLS = (
    "agent ask_user_question cron_create cron_delete cron_list edit exit_plan_mode glob grep_search "
    "list_directory lsp monitor read_file run_shell_command save_memory send_message skill structured_output "
    "task task_stop todo_write web_fetch web_search write_file"
).split()
_HIDDEN = ("tool_search",)  # with it, MCP tools are deferred and the model sees none of them


class StreamJSON(Report):
    """The events of `--output-format stream-json`."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.result: dict[str, Any] | None = None

    def event(self, event: dict[str, Any]) -> None:
        self.session = event.get("session_id") or self.session
        if event.get("type") == "result":
            self.result = event
            self.facts = {"num_turns": event.get("num_turns")}

    def complaint(self, exit_code: int | None) -> str | None:
        if self.result is None:
            return "ended without a result"
        if self.result.get("is_error") or exit_code != 0:
            error = self.result.get("error")
            return (
                f"reports an error: {str(error or self.result.get('result') or self.result.get('subtype'))[:300]}"
            )
        return None


class QwenCode(Agent):
    name = "qwen-code"
    package = Package("npm", "@qwen-code/qwen-code", "0.15.10", "qwen")
    memory_mib = 500
    resumable = True
    skills_folder = ".qwen/skills"
    report = StreamJSON

    def prepare(self, place: Place, link: Link, options: AgentOptions, *, skills: bool) -> None:
        own = [name for name in _OWN_TOOLS if not (skills and name == "skill")]
        settings: dict[str, Any] = {
            "tools": {"exclude": [*_HIDDEN, *([] if options.shell else own)]},
            "privacy": {"usageStatisticsEnabled": False},
            "telemetry": {"enabled": False},
            "general": {"disableAutoUpdate": True},
            "security": {"auth": {"selectedType": "openai"}},
        }
        if link.mcp_url is not None:
            server = {"httpUrl": link.mcp_url, "trust": True, "timeout": _DAY_MS}
            settings["mcpServers"] = {SERVER: server}
        place.write(place.home / ".qwen" / "settings.json", json.dumps(settings))

    def launch(self, place: Place, link: Link, turn: Turn, options: AgentOptions) -> Launch:
        arguments = ["--output-format", "stream-json", "--approval-mode", "yolo", "--auth-type", "openai"]
        arguments += ["--model", link.model, *options.arguments]
        if turn.session is not None:
            arguments += ["--resume", turn.session]
        env = {"OPENAI_BASE_URL": link.model_url, "OPENAI_API_KEY": link.key, "OPENAI_MODEL": link.model}
        return Launch(arguments, env)


def create(options: AgentOptions) -> AgentHarness:
    return AgentHarness(QwenCode(), options)
