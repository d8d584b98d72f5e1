"""Plays episodes through the operator plane, as a harness would, and keeps everything that was seen."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from gym_mcp.client import EnvironmentClient, EpisodeClient
from gym_mcp.identity import digest
from gym_mcp.types import Call, Item, JSONObject, Reward, Task, Transcript, assistant_message, user_message

MAX_STEPS: Final = 2_000
"""Steps of one play; a solution that has not ended by then does not end."""


@dataclass(frozen=True, slots=True)
class Event:
    """An action, and what came back: a result's text, the user's reply, or None when nobody answers."""

    action: Call | str
    heard: str | None


@dataclass(slots=True)
class Trace:
    """One finished play. `open_seconds` is the time that opening took."""

    task: Task[Any]
    tools: list[Item]
    open_seconds: float
    reward: Reward = field(default_factory=lambda: Reward(0.0))
    events: list[Event] = field(default_factory=list)
    ledger: list[JSONObject] = field(default_factory=list)
    transcript: Transcript = field(default_factory=Transcript)

    @property
    def script(self) -> list[Call | str]:
        """What was done, to be done again."""
        return [event.action for event in self.events]

    def outline(self) -> JSONObject:
        """All that must be equal when the same episode is played the same way: everything but times."""
        return {
            "prompt": list(self.task.prompt),
            "tools": self.tools,
            "ledger": [{k: v for k, v in e.items() if k not in ("start", "end", "detail")} for e in self.ledger],
            "heard": [event.heard for event in self.events],
            "reward": asdict(self.reward),
        }

    def fingerprint(self) -> str:
        """Digest of the outline, comparable between processes."""
        return digest([json.dumps(self.outline(), sort_keys=True, default=str).encode()])


class Player:
    """One open episode and the transcript of its play."""

    def __init__(self, episode: EpisodeClient, trace: Trace) -> None:
        self.episode = episode
        self.trace = trace
        self.over = False
        """Whether a harness would have stopped by now."""

    @classmethod
    async def open(cls, client: EnvironmentClient, task: Task[Any], seed: int) -> Player:
        start = time.perf_counter()
        episode = await client.open_episode(task, seed=seed)
        seconds = time.perf_counter() - start
        tools = [spec.as_function() for spec in await episode.agent.list_tools()]
        return cls(episode, Trace(task, tools, seconds))

    async def act(self, action: Call | str) -> str | None:
        """Make a call or say something; what came back."""
        heard = await (self._say(action) if isinstance(action, str) else self._call(action))
        self.trace.events.append(Event(action, heard))
        return heard

    async def _call(self, call: Call) -> str:
        items = self.trace.transcript.items
        call_id, arguments = f"call_{len(items)}", json.dumps(call.arguments, default=str)
        items.append({"type": "function_call", "call_id": call_id, "name": call.name, "arguments": arguments})
        result = await self.episode.agent.call(call.name, call.arguments)
        items.append({"type": "function_call_output", "call_id": call_id, "output": result.text})
        self.over = self.over or result.ended
        return result.text

    async def _say(self, text: str) -> str | None:
        self.trace.transcript.items.append(assistant_message(text))
        reply = await self.episode.agent.reply(text) if self.episode.agent.multi_turn else None
        if reply is None:
            self.over = True
        else:
            self.trace.transcript.items.append(user_message(reply))
        return reply

    async def finish(self) -> Trace:
        """Score and close the episode."""
        verdict = await self.episode.verify(self.trace.transcript)
        self.trace.reward, self.trace.ledger = verdict.reward, verdict.ledger
        return self.trace


async def perform(
    client: EnvironmentClient, task: Task[Any], seed: int, script: Iterable[Call | str], *, pause: bool = False
) -> Trace:
    """Play a script up to where a harness would stop. `pause` lets other episodes run after every action."""
    player = await Player.open(client, task, seed)
    try:
        for action in script:
            await player.act(action)
            if pause:
                await asyncio.sleep(0)
            if player.over:
                break
        return await player.finish()
    finally:
        await player.episode.close()


async def perform_solution(client: EnvironmentClient, task: Task[Any], seed: int) -> Trace:
    """Play the reference solution up to where a harness would stop."""
    player = await Player.open(client, task, seed)
    try:
        results: Sequence[str] = ()
        for index in range(MAX_STEPS):
            step = await player.episode.reference_step(index, results)
            heard = [await player.act(call) for call in step.calls]
            if step.say is not None or not step.calls:
                heard.append(await player.act(step.say or ""))
            results = [text for text in heard if text is not None]
            if step.done or player.over:
                break
        return await player.finish()
    finally:
        await player.episode.close()


async def repeat(client: EnvironmentClient, task: Task[Any], seed: int, answer: str | None) -> Trace:
    """Say the same to everything, at most ten times; None ends the episode without a word."""
    return await perform(client, task, seed, () if answer is None else [answer] * 10)
