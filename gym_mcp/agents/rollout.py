"""One rollout of an agent: its processes turn by turn, what counts as a proper end, and what is kept of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gym_mcp.agents.agent import Agent, AgentOptions, Link, Report, Turn
from gym_mcp.agents.containment import jail_of
from gym_mcp.agents.memory import Processes, Watch
from gym_mcp.agents.observations import Join, Names
from gym_mcp.agents.package import Installed
from gym_mcp.agents.place import Place
from gym_mcp.agents.process import Ended, Jail, Program, run_program
from gym_mcp.agents.prompt import safe, task_text
from gym_mcp.agents.relay import Relayed, RelayedCall
from gym_mcp.agents.skills import Skills
from gym_mcp.agents.watched import Watched
from gym_mcp.client import AgentSession
from gym_mcp.errors import HarnessError
from gym_mcp.gateway import GatewaySession
from gym_mcp.toolcalls import output_of
from gym_mcp.types import Item, JSONObject, Transcript, assistant_message

_STDERR_SHOWN: Final = 600


@dataclass(frozen=True, slots=True)
class Setup:
    """What all rollouts of a run have in common."""

    agent: Agent
    options: AgentOptions
    installed: Installed
    skills: Skills | None
    contained: bool
    processes: Processes


@dataclass(slots=True)
class AgentRollout:
    """One rollout in progress."""

    setup: Setup
    place: Place
    session: AgentSession
    relayed: Relayed
    model: Watched
    gateway: GatewaySession
    link: Link
    _jail: Jail | None = None
    _turns: int = 0
    _ends: list[Ended] = field(default_factory=list)
    _facts: JSONObject = field(default_factory=dict)
    _last_word: str | None = None

    async def play(self) -> Transcript:
        """All turns, to the transcript. Raises the owner's error when the rollout is evidence of nothing."""
        agent, skills = self.setup.agent, self.setup.skills
        text = agent.opening(task_text(self.session.prompt), self.link)
        agent.prepare(self.place, self.link, self.setup.options, skills=skills is not None)
        if skills is not None and agent.skills_folder is not None:
            folder = self.place.home / agent.skills_folder
            folder.mkdir(parents=True, exist_ok=True)
            skills.stage(folder)
        if self.setup.contained:
            self._jail = jail_of(self.place, self.setup.installed, self._ports())
        conversation: str | None = None
        while True:
            conversation = await self._turn(text, conversation)
            if self.gateway.stop is not None or not self.session.multi_turn:
                return self._transcript()
            reply = await self.session.reply(self.gateway.transcript().answer)
            if reply is None:
                return self._transcript()
            text = safe(reply)

    def _ports(self) -> list[int]:
        urls = [url for url in (self.link.model_url, self.link.mcp_url) if url is not None]
        return [int(url.split("/")[2].rpartition(":")[2]) for url in urls]

    async def _turn(self, text: str, conversation: str | None) -> str | None:
        """Run the program once; the name of the conversation, to go on with it."""
        setup = self.setup
        self._turns += 1
        turn = Turn(text, conversation, keep=self.session.multi_turn, skills=setup.skills is not None)
        launch = setup.agent.launch(self.place, self.link, turn, setup.options)
        if self._jail is not None and self._jail.uid is not None:
            self.place.give_to(self._jail.uid)
        self.place.write(self.place.stdin, text if launch.on_stdin else "")
        program = Program(
            [str(setup.installed.program), *launch.arguments],
            {**self.place.environment(setup.installed.program), **launch.env},
            self.place.work,
            self.place.stdin,
            self._jail,
        )
        report = setup.agent.report(self.place)
        ended = await self._run(program, report)
        self._facts |= report.facts
        if ended is not None:
            self._ends.append(ended)
        self._check(report, ended)
        self._last_word = report.answer()
        return report.session or conversation

    async def _run(self, program: Program, report: Report) -> Ended | None:
        """The program's end; None when it was ended from here, because there was nothing left to wait for."""
        with self.setup.processes.watched() as watch:
            return await self._attend(program, report, watch)

    async def _attend(self, program: Program, report: Report, watch: Watch) -> Ended | None:
        running = asyncio.create_task(run_program(program, report.line, watch))
        signs = [
            asyncio.create_task(watch.ended.wait()),
            asyncio.create_task(self.relayed.failed.wait()),
            asyncio.create_task(self.model.failed.wait()),
            asyncio.create_task(self._farewell()),
        ]
        try:
            await asyncio.wait([running, *signs], return_when=asyncio.FIRST_COMPLETED)
            if watch.error is not None:
                raise watch.error
            return running.result() if running.done() else None
        finally:
            for task in (running, *signs):
                task.cancel()
            await asyncio.wait([running, *signs])

    async def _farewell(self) -> None:
        await self.model.spent.wait()
        await asyncio.sleep(self.setup.agent.farewell)

    def _check(self, report: Report, ended: Ended | None) -> None:
        """Raise unless the agent saw its environment and its model, and ended properly or with its budget."""
        if self.model.error is not None:
            raise self.model.error
        if self.relayed.error is not None:
            raise self.relayed.error
        if self.gateway.stop is not None:
            return
        code = ended.exit_code if ended else None
        speaks = self.setup.agent.speaks_mcp and bool(self.relayed.tools)
        if speaks and not self.relayed.seen:
            raise self._error("never asked for the environment's tools", report, ended)
        if not self.model.asked:
            raise self._error("ended without asking its model", report, ended)
        if speaks and not self.model.offered:
            raise self._error("did not offer the environment's tools to its model", report, ended)
        complaint = "was killed with its warden" if code is None else report.complaint(code)
        if complaint is not None:
            raise self._error(complaint, report, ended)

    def _error(self, what: str, report: Report, ended: Ended | None) -> HarnessError:
        """What was seen, in one line; the detail has more. Secrets of the rollout are masked."""
        said = self._scrubbed((ended.stderr if ended else "") or report.noise)
        line = " ".join(said[-_STDERR_SHOWN:].split())
        about = f" (exit code {ended.exit_code})" if ended and ended.exit_code not in (None, 0) else ""
        name = self.setup.agent.name
        told = f"{self._scrubbed(what)}{about}{f': {line}' if line else ''}"  # agents quote URLs in their errors
        return HarnessError(f"{name} {told}", detail=said)

    def _scrubbed(self, text: str) -> str:
        secrets = [self.link.key, self.gateway.base_url.rpartition("/")[2], self.relayed.url.split("/")[3]]
        for secret in secrets:
            text = text.replace(secret, "***")
        return text.replace(str(self.place.root), "PLACE")

    def _transcript(self) -> Transcript:
        """What the gateway saw, in the environment's own words, with what no request told of any more."""
        found = self.gateway.transcript()
        join = Join(Names(self.relayed.tools), self.relayed.calls)
        matches = join.matches(found.items)
        items = join.plain(found.items, rename=True) if self.setup.options.plain_observations else found.items
        items = [*items, *_untold(items, matches, self.relayed.calls)]
        if self._last_word:
            items.append(assistant_message(self._last_word))
        calls = [{"call_id": call_id, "ledger": number} for call_id, number in matches.items()]
        return Transcript(items, found.stop, found.spans, {**self._about(), **({"calls": calls} if calls else {})})

    def _about(self) -> JSONObject:
        setup = self.setup
        return {
            "agent": setup.agent.name,
            "version": setup.installed.version,
            "contained": setup.contained,
            "turns": self._turns,
            "exit_code": self._ends[-1].exit_code if self._ends else None,
            "seconds": round(sum(e.seconds for e in self._ends), 3),
            "cpu_seconds": round(sum(e.cpu_seconds for e in self._ends), 3),
            "peak_mib": max((e.peak_kib for e in self._ends), default=0) // 1024,
            **self._facts,
        }


def _untold(items: Sequence[Item], matches: dict[str, int], calls: Sequence[RelayedCall]) -> list[Item]:
    """Results of calls after which the model was asked nothing more: the episode or the budget had ended."""
    told = {item.get("call_id") for item in items if item.get("type") == "function_call_output"}
    found: list[Item] = []
    for call_id, number in matches.items():
        result = calls[number].result
        if call_id not in told and result is not None:
            found.append({"type": "function_call_output", "call_id": call_id, "output": output_of(result)})
    return found
