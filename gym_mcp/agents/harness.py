"""Runs an agent program as a harness: one gateway and one relay for all its rollouts, a place for each."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from gym_mcp.agents.agent import Agent, AgentOptions, Link
from gym_mcp.agents.memory import Processes
from gym_mcp.agents.package import find
from gym_mcp.agents.place import new_place
from gym_mcp.agents.process import namespaces_permitted
from gym_mcp.agents.relay import Relay
from gym_mcp.agents.rollout import AgentRollout, Setup
from gym_mcp.agents.skills import Skills
from gym_mcp.agents.watched import Watched
from gym_mcp.client import AgentSession
from gym_mcp.errors import HarnessError, UsageError
from gym_mcp.gateway import Gateway
from gym_mcp.harness import Limits
from gym_mcp.models.base import Model
from gym_mcp.types import JSONObject, Transcript

_log: Final = logging.getLogger(__name__)


class AgentHarness:
    """The harness of one agent. `UsageError` at once when its program is not to be had."""

    def __init__(self, agent: Agent, options: AgentOptions) -> None:
        self.agent = agent
        self.options = options
        self.memory_mib = agent.memory_mib
        self.processes = Processes()
        self._installed = find(agent.name, agent.package, options.version, options.binary)
        self._skills: Skills | None = None
        self._setup: Setup | None = None
        self._gateway = Gateway()
        self._relay = Relay()
        self._starting = asyncio.Lock()

    def use_skills(self, skills: Skills) -> None:
        """Give every rollout these skills, or run it as the control arm. `UsageError` where it knows none."""
        if self.agent.skills_folder is None:
            raise UsageError(f"harness {self.agent.name}: takes no skills (--skills)")
        self._skills = skills

    def identity(self) -> JSONObject:
        """The version that runs, and the skills."""
        found: JSONObject = {"version": self._installed.version}
        return found if self._skills is None else {**found, "skills": self._skills.ref}

    async def run(self, session: AgentSession, model: Model, limits: Limits) -> Transcript:
        """Play one rollout. `limits` are the gateway's business: it ends the agent when `model` says so."""
        setup = await self._started()
        agent = setup.agent
        if session.multi_turn and not agent.resumable:
            raise HarnessError(
                f"harness {agent.name}: cannot go on with a conversation, which this environment's user does; "
                "use claude-code, codex or simple"
            )
        async with self._relay.open(session, parses_text=agent.parses_text) as relayed:
            watched = Watched(agent, model, relayed, plain=self.options.plain_observations)
            gateway = self._gateway.open(watched)
            try:
                link = Link(
                    gateway.base_url + agent.path,
                    gateway.key,
                    gateway.model_name,
                    relayed.url if relayed.tools else None,
                    relayed.tools,
                )
                with new_place() as place:
                    rollout = AgentRollout(setup, place, session, relayed, watched, gateway, link)
                    return await rollout.play()
            finally:
                await gateway.aclose()

    async def _started(self) -> Setup:
        async with self._starting:
            if self._setup is None:
                contained = await self._contained()
                await self._gateway.start()
                await self._relay.start()
                self._setup = Setup(
                    self.agent, self.options, self._installed, self._skills, contained, self.processes
                )
            return self._setup

    async def _contained(self) -> bool:
        wish = self.options.contained
        if wish is False or (wish == "auto" and not (self.options.shell or self.agent.has_shell)):
            return False
        if await namespaces_permitted():
            return True
        if wish is True:
            raise HarnessError(
                f"harness {self.agent.name}: contained=true, but this system permits no namespaces "
                "(docs/security.md says what they need)"
            )
        _log.warning(
            "%s has a shell and runs as you, uncontained: this system permits no namespaces; "
            "`--set harness_options.contained=true` refuses that, =false says that it is meant",
            self.agent.name,
        )
        return False

    async def aclose(self) -> None:
        """Close the gateway and the relay."""
        await self._gateway.aclose()
        await self._relay.aclose()
