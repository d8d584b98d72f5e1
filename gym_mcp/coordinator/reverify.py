"""Scores a recorded rollout again: its ledger replayed in a fresh episode, then `verify`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from gym_mcp.client import AgentSession, EnvironmentClient
from gym_mcp.types import Item, JSONObject, Reward, Task, Transcript, text_of


@dataclass(slots=True)
class Replayed:
    """The new reward, and where the replay did not give what was recorded (then it says nothing)."""

    reward: Reward
    divergences: list[str] = field(default_factory=list)


async def reverify(client: EnvironmentClient, task: Task[Any], row: JSONObject) -> Replayed:
    """Replay the ledger of a rollout row in an episode of the same seed and verify its transcript there."""
    episode = await client.open_episode(task, seed=row["seed"])
    try:
        replay = _Replay(episode.agent, row["ledger"])
        items = row["response"]["output"]
        await replay.play(items)
        verdict = await episode.verify(Transcript(items, row["response"]["stop"]))
        return Replayed(verdict.reward, replay.divergences)
    finally:
        await episode.close()


class _Replay:
    """Walks a transcript, so that calls and user replies come in the order in which they happened."""

    def __init__(self, session: AgentSession, ledger: list[JSONObject]) -> None:
        self.divergences: list[str] = []
        self._session = session
        self._ledger = ledger
        self._next = 0

    async def play(self, items: list[Item]) -> None:
        said = ""
        for item in items:
            if item.get("type") == "function_call" and self._is_next(item):
                await self._step()
            elif item.get("role") == "assistant":
                said = text_of(item)
            elif item.get("role") == "user":
                reply = await self._session.reply(said)
                if reply != text_of(item):
                    self.divergences.append(f"reply: {reply!r:.100}, recorded {text_of(item)!r:.100}")
        while self._next < len(self._ledger):
            await self._step()

    def _is_next(self, item: Item) -> bool:
        """Calls that never reached the environment (malformed arguments) are not in the ledger."""
        if self._next >= len(self._ledger):
            return False
        entry = self._ledger[self._next]
        try:
            arguments = orjson.loads(item.get("arguments") or "{}")
        except orjson.JSONDecodeError:
            return False
        return bool(item.get("name") == entry["name"] and arguments == entry["arguments"])

    async def _step(self) -> None:
        entry = self._ledger[self._next]
        self._next += 1
        result = await self._session.call(entry["name"], entry["arguments"])
        if result.text != entry["result"]:
            self.divergences.append(
                f"call {entry['seq']} {entry['name']}: {result.text!r:.100}, recorded {entry['result']!r:.100}"
            )
