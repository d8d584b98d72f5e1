"""mini-swe-agent, headless: a shell and nothing else, so the environment's tools are shell commands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from gym_mcp.agents.agent import Agent, AgentOptions, Launch, Link, Report, Turn
from gym_mcp.agents.harness import AgentHarness
from gym_mcp.agents.package import Package
from gym_mcp.agents.place import Place
from gym_mcp.agents.shell import bridge_environment, put_bridge, with_tools
from gym_mcp.types import Item, text_of

Options = AgentOptions
_SUBMIT = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
_ANSWER = (
    "\n\nWhen you are done, give your final answer, if the task asks for one, with the very command that ends your"
    f" work: {_SUBMIT} && printf '%s' 'YOUR ANSWER'"
)


class Trajectory(Report):
    """The trajectory file, which says how it ended."""

    def _info(self) -> dict[str, Any]:
        try:
            info = json.loads(self.place.read(self.place.shown / "trajectory.json"))["info"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return {}
        return info if isinstance(info, dict) else {}

    def answer(self) -> str | None:
        return str(self._info().get("submission") or "") or None

    def complaint(self, exit_code: int | None) -> str | None:
        status = self._info().get("exit_status")
        self.facts = {"exit_status": status}
        return None if exit_code == 0 and status == "Submitted" else f"ended as {status or 'nothing'}"


class MiniSWEAgent(Agent):
    name = "mini-swe-agent"
    package = Package(
        "pypi", "mini-swe-agent", "2.4.6", "mini", also=("mcp<3",)
    )  # LiteLLM does not import without
    memory_mib = 250
    speaks_mcp = False
    has_shell = True
    report = Trajectory
    farewell = 1.0  # it never takes a plain text for an end

    def opening(self, text: str, link: Link) -> str:
        return with_tools(text, link.tools) + _ANSWER

    def prepare(self, place: Place, link: Link, options: AgentOptions, *, skills: bool) -> None:
        put_bridge(place)

    def launch(self, place: Place, link: Link, turn: Turn, options: AgentOptions) -> Launch:
        config = {
            "run": {"task": turn.text},
            "agent": {"mode": "yolo", "confirm_exit": False, "cost_limit": 0, "step_limit": 0},
            "environment": {"timeout": 3_600},
            "model": {"model_name": f"openai/{link.model}", "cost_tracking": "ignore_errors"},
        }
        file = place.write(place.work.parent / "gym.yaml", json.dumps(config))
        arguments = ["-c", "mini.yaml", "-c", str(file), "-o", str(place.work.parent / "trajectory.json")]
        env = {
            **bridge_environment(link),
            "OPENAI_API_BASE": link.model_url,
            "OPENAI_API_KEY": link.key,
            "MSWEA_CONFIGURED": "true",
            "MSWEA_SILENT_STARTUP": "1",
            "MSWEA_GLOBAL_CONFIG_DIR": str(place.home / ".config" / "mini-swe-agent"),
            "MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "2",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        return Launch([*arguments, *options.arguments], env, on_stdin=False)

    def embedded(self, output: Sequence[Item], offered: Mapping[str, str]) -> list[Item]:
        if any(item.get("type") == "function_call" for item in output):
            return [_as_command(item) for item in output]
        said = "".join(text_of(item) for item in output)
        command = f"{_SUBMIT} && printf '%s' {shlex.quote(said)}"
        return [*output, _bash("call_submit", command)]


def _as_command(item: Item) -> Item:
    if item.get("type") != "function_call":
        return item
    words = ["gym-mcp", "call", item["name"], item.get("arguments") or "{}"]
    return _bash(item["call_id"], shlex.join(words))


def _bash(call_id: str, command: str) -> Item:
    arguments = json.dumps({"command": command})
    return {"type": "function_call", "call_id": call_id, "name": "bash", "arguments": arguments}


def create(options: AgentOptions) -> AgentHarness:
    return AgentHarness(MiniSWEAgent(), options)
