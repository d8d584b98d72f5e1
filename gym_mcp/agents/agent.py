"""What a harness file says of its agent: package, command line, settings, and how to tell that it ended well."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import orjson

from gym_mcp.agents.package import Package
from gym_mcp.agents.place import Place
from gym_mcp.options import Options
from gym_mcp.types import Item, JSONObject, ToolSpec


class AgentOptions(Options):
    """What every agent's harness takes (`--set harness_options.NAME=VALUE`).

    `version`: of its package; empty for the one this harness was tested with. `binary`: a program to run instead.
    `shell`: whether the agent keeps its own shell and file tools besides the environment's. `contained`: see
    `docs/security.md`; `auto` contains agents that have a shell where the system permits it. `arguments`: further
    words for its command line. `plain_observations`: show the model the tools' own texts, without what some agents
    put around them.
    """

    version: str = ""
    binary: Path | None = None
    shell: bool = False
    contained: Literal["auto", True, False] = "auto"
    arguments: tuple[str, ...] = ()
    plain_observations: bool = True


@dataclass(frozen=True, slots=True)
class Link:
    """Where one rollout's agent finds its model and its tools. `mcp_url` is None where the task has no tools."""

    model_url: str
    key: str
    model: str
    mcp_url: str | None
    tools: Sequence[ToolSpec] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of the program: what the user says, and the conversation that it goes on with, if any."""

    text: str
    session: str | None
    keep: bool
    """Whether a later turn may follow."""
    skills: bool
    """Whether this is a run with skills, or the control arm of one."""


@dataclass(frozen=True, slots=True)
class Launch:
    """`arguments` after the program's own name; `env` on top of the clean one. The user's text goes to stdin."""

    arguments: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    on_stdin: bool = True


class Report(ABC):
    """Reads what one run of an agent prints."""

    session: str | None = None
    """The agent's name of the conversation, to go on with it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.facts: JSONObject = {}
        self.noise = ""

    def line(self, line: bytes) -> None:
        """One line of stdout. Lines that are no JSON object are kept for the error message."""
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError:
            event = None
        if isinstance(event, dict):
            self.event(event)
        elif line.strip():
            self.noise = (self.noise + line.decode("utf-8", "replace") + "\n")[-2_000:]

    def event(self, event: dict[str, Any]) -> None:
        """One JSON object of stdout."""
        return None

    def answer(self) -> str | None:
        """Its last word, where that is not a message of the model's."""
        return None

    @abstractmethod
    def complaint(self, exit_code: int | None) -> str | None:
        """Why this was no proper end; None when it was one."""


class ExitCode(Report):
    """An agent that says by its exit code alone whether it ended well."""

    def complaint(self, exit_code: int | None) -> str | None:
        return None if exit_code == 0 else f"exit code {exit_code}"


class Agent(ABC):
    """One agent program. The class is stateless: everything of a rollout is in its `Place`."""

    name: ClassVar[str]
    package: ClassVar[Package]
    path: ClassVar[str] = "/v1"
    """What its model API has after the gateway's base URL: `/v1` for OpenAI's, nothing for the others."""
    memory_mib: ClassVar[int]
    resumable: ClassVar[bool] = False
    """Whether it can go on with a conversation, for environments that answer its messages."""
    speaks_mcp: ClassVar[bool] = True
    parses_text: ClassVar[bool] = False
    """Whether it takes results that are JSON texts for structured ones (`Relay.open`)."""
    has_shell: ClassVar[bool] = False
    """Whether it has a shell however it is configured."""
    skills_folder: ClassVar[str | None] = None
    """Where below its home it looks for skills; None when it knows none."""
    report: ClassVar[type[Report]] = ExitCode
    farewell: ClassVar[float] = 30.0
    """Seconds to end by itself once its budget is spent or the episode has ended; then it is ended."""

    @abstractmethod
    def prepare(self, place: Place, link: Link, options: AgentOptions, *, skills: bool) -> None:
        """Write its settings."""

    @abstractmethod
    def launch(self, place: Place, link: Link, turn: Turn, options: AgentOptions) -> Launch:
        """Its command line and environment for one turn."""

    def opening(self, text: str, link: Link) -> str:
        """The first thing that it is told: the task's text, with what such an agent needs to know besides."""
        return text

    def embedded(self, output: Sequence[Item], offered: Mapping[str, str]) -> list[Item]:
        """What an embedded model says, which knows the environment's own names, as this agent takes it.

        `offered`: the agent's name of each environment tool that it offers.
        """
        return [
            {**item, "name": offered[item["name"]]}
            if item.get("type") == "function_call" and item.get("name") in offered
            else item
            for item in output
        ]
