"""opencode, headless (`opencode run`)."""

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
_PROVIDER = "gym"
_OWN_TOOLS = (
    "bash edit write read grep glob list patch apply_patch multiedit todowrite todoread webfetch websearch "
    "codesearch task question lsp skill"
).split()


class Events(Report):
    """The events of `opencode run --format json`."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.error = ""
        self.finished = False

    def event(self, event: dict[str, Any]) -> None:
        self.session = event.get("sessionID") or self.session
        kind = event.get("type")
        part = event.get("part") or {}
        if kind == "error":
            self.error = json.dumps(event.get("error"))[:300]
        elif kind == "step_finish":
            self.finished = part.get("reason") not in ("tool-calls", "unknown")

    def complaint(self, exit_code: int | None) -> str | None:
        if self.error:
            return f"reports an error: {self.error}"
        if not self.finished:
            return "did not finish its last step"
        return None if exit_code == 0 else f"exit code {exit_code}"


class OpenCode(Agent):
    name = "opencode"
    package = Package("npm", "opencode-ai", "1.18.33", "opencode")
    memory_mib = 650
    resumable = True
    skills_folder = ".config/opencode/skills"
    report = Events

    def prepare(self, place: Place, link: Link, options: AgentOptions, *, skills: bool) -> None:
        off = [] if options.shell else [name for name in _OWN_TOOLS if not (skills and name == "skill")]
        model = {
            "name": link.model,
            "tool_call": True,
            "attachment": True,
            "limit": {"context": 200_000, "output": 32_000},
        }
        config: dict[str, Any] = {
            "$schema": "https://opencode.ai/config.json",
            "model": f"{_PROVIDER}/{link.model}",
            "small_model": f"{_PROVIDER}/{link.model}",
            "provider": {
                _PROVIDER: {
                    "npm": "@ai-sdk/openai-compatible",
                    "name": _PROVIDER,
                    "options": {"baseURL": link.model_url, "apiKey": "{env:GYM_MCP_MODEL_KEY}", "timeout": False},
                    "models": {link.model: model},
                }
            },
            "permission": {"*": "allow", **{name: "deny" for name in off}},
            "share": "disabled",
            "autoupdate": False,
            "snapshot": False,
        }
        if link.mcp_url is not None:
            config["mcp"] = {
                SERVER: {
                    "type": "remote",
                    "url": link.mcp_url,
                    "enabled": True,
                    "oauth": False,
                    "timeout": _DAY_MS,
                }
            }
        place.write(place.work / "opencode.json", json.dumps(config))

    def launch(self, place: Place, link: Link, turn: Turn, options: AgentOptions) -> Launch:
        # A title of its own: else it asks the model for one first.
        arguments = ["run", "--format", "json", "--title", "episode", *options.arguments]
        if turn.session is not None:
            arguments += ["--session", turn.session]
        env = {
            "GYM_MCP_MODEL_KEY": link.key,
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
            "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        }
        return Launch(arguments, env)


def create(options: AgentOptions) -> AgentHarness:
    return AgentHarness(OpenCode(), options)
