"""OpenHands, headless (`openhands --headless`). It keeps a terminal and a file editor of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gym_mcp.agents.agent import Agent, AgentOptions, Launch, Link, Report, Turn
from gym_mcp.agents.harness import AgentHarness
from gym_mcp.agents.package import Package
from gym_mcp.agents.place import Place
from gym_mcp.agents.relay import SERVER
from gym_mcp.types import Item

Options = AgentOptions
_MAX_WORD = 120_000


class Events(Report):
    """The events of `--json`, which come between lines of other text, and over several lines each."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._open: list[bytes] = []
        self.error = ""

    def line(self, line: bytes) -> None:
        if line.startswith(b"{"):
            self._open = []
        elif not self._open:
            return super().line(line)
        self._open.append(line)
        try:
            event = json.loads(b"\n".join(self._open))
        except ValueError:
            return None
        self._open = []
        self.event(event)

    def event(self, event: dict[str, Any]) -> None:
        if event.get("kind") in ("AgentErrorEvent", "ConversationErrorEvent"):
            self.error = str(event.get("detail") or event.get("error"))[:300]
        elif event.get("kind") == "MessageEvent":
            self.error = ""

    def complaint(self, exit_code: int | None) -> str | None:
        if exit_code != 0:
            return f"exit code {exit_code}{f': {self.error}' if self.error else ''}"
        return f"ended with an error: {self.error}" if self.error else None


class OpenHands(Agent):
    name = "openhands"
    package = Package("pypi", "openhands", "1.16.0", "openhands", python="3.12")
    memory_mib = 300
    has_shell = True
    report = Events

    def prepare(self, place: Place, link: Link, options: AgentOptions, *, skills: bool) -> None:
        servers = {}
        if link.mcp_url is not None:
            servers[SERVER] = {"url": link.mcp_url, "transport": "http"}
        place.write(place.home / ".openhands" / "mcp.json", json.dumps({"mcpServers": servers}))

    def launch(self, place: Place, link: Link, turn: Turn, options: AgentOptions) -> Launch:
        # A file is told of as one; a word of a command line cannot be longer than this.
        task = ["-t", turn.text]
        if len(turn.text.encode()) > _MAX_WORD:
            task = ["-f", str(place.write(place.work.parent / "task.txt", turn.text))]
        arguments = ["--headless", "--json", "--override-with-envs", "--exit-without-confirmation", *task]
        env = {
            "LLM_MODEL": f"openai/{link.model}",
            "LLM_BASE_URL": link.model_url,
            "LLM_API_KEY": link.key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "OPENHANDS_SUPPRESS_BANNER": "1",
            "PYTHONWARNINGS": "ignore",
        }
        return Launch([*arguments, *options.arguments], env, on_stdin=False)

    def embedded(self, output: Sequence[Item], offered: Mapping[str, str]) -> list[Item]:
        return [_with_risk(item) if item.get("type") == "function_call" else item for item in output]


def _with_risk(item: Item) -> Item:
    """A call with the argument that this agent wants in each."""
    return {**item, "arguments": json.dumps({**json.loads(item.get("arguments") or "{}"), "security_risk": "LOW"})}


def create(options: AgentOptions) -> AgentHarness:
    return AgentHarness(OpenHands(), options)
