"""Claude Code, Anthropic's coding agent, headless (`claude -p`)."""

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


class StreamJSON(Report):
    """The events of `--output-format stream-json`. Its token counts are not read: the gateway has true ones."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.result: dict[str, Any] | None = None
        self.server = ""

    def event(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "system" and event.get("subtype") == "init":
            self.session = event.get("session_id")
            servers = event.get("mcp_servers") or ()
            self.server = next((str(s.get("status")) for s in servers if s.get("name") == SERVER), "")
        elif kind == "result":
            self.result = event
            denied = len(event.get("permission_denials") or ())
            self.facts = {"num_turns": event.get("num_turns"), "terminal_reason": event.get("terminal_reason")}
            self.facts |= {"permission_denials": denied} if denied else {}

    def complaint(self, exit_code: int | None) -> str | None:
        if self.result is None:
            return f"ended without a result (its MCP server: {self.server or 'never seen'})"
        if self.result.get("is_error") or exit_code != 0:
            reason = self.result.get("terminal_reason") or self.result.get("subtype")
            return f"reports an error ({reason}): {str(self.result.get('result', ''))[:300]}"
        return None


class ClaudeCode(Agent):
    name = "claude-code"
    package = Package("npm", "@anthropic-ai/claude-code", "2.1.329", "claude")
    path = ""
    memory_mib = 150
    resumable = True
    skills_folder = ".claude/skills"
    report = StreamJSON

    def prepare(self, place: Place, link: Link, options: AgentOptions, *, skills: bool) -> None:
        servers = {}
        if link.mcp_url is not None:
            # alwaysLoad: else older versions begin their first turn without tools when the server is slow.
            servers[SERVER] = {"type": "http", "url": link.mcp_url, "alwaysLoad": True, "timeout": _DAY_MS}
        place.write(place.home / "mcp.json", json.dumps({"mcpServers": servers}))

    def launch(self, place: Place, link: Link, turn: Turn, options: AgentOptions) -> Launch:
        arguments = ["-p", "--output-format", "stream-json", "--verbose", "--model", link.model]
        arguments += ["--strict-mcp-config", "--mcp-config", str(place.home / "mcp.json")]
        if options.shell:
            arguments += ["--dangerously-skip-permissions"]
        else:
            arguments += ["--tools", "Skill" if turn.skills else ""]
            arguments += ["--allowedTools", f"mcp__{SERVER}", *(["Skill"] if turn.skills else [])]
        if turn.session is not None:
            arguments += ["--resume", turn.session]
        elif not turn.keep:
            arguments += ["--no-session-persistence"]
        return Launch([*arguments, *options.arguments], self._environment(place, link))

    @staticmethod
    def _environment(place: Place, link: Link) -> dict[str, str]:
        return {
            "CLAUDE_CONFIG_DIR": str(place.home / ".claude"),
            "ANTHROPIC_BASE_URL": link.model_url,
            "ANTHROPIC_API_KEY": link.key,
            "ANTHROPIC_SMALL_FAST_MODEL": link.model,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": link.model,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
            "CLAUDE_CODE_DISABLE_BUNDLED_SKILLS": "1",
            "CLAUDE_CODE_MAX_RETRIES": "2",  # the model behind the gateway has had its own
            "MCP_CONNECTION_NONBLOCKING": "false",
            "MCP_CONNECT_TIMEOUT_MS": "30000",
            "MCP_TOOL_TIMEOUT": str(_DAY_MS),  # tools have their own deadlines
            "CLAUDE_CODE_MCP_TOOL_IDLE_TIMEOUT": str(_DAY_MS),
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",  # as root it refuses to skip questions otherwise
        }


def create(options: AgentOptions) -> AgentHarness:
    return AgentHarness(ClaudeCode(), options)
