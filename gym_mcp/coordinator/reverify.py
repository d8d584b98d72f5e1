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
    judge_usage: JSONObject | None = None


async def reverify(client: EnvironmentClient, task: Task[Any], row: JSONObject) -> Replayed:
    """Replay the ledger of a rollout row in an episode of the same seed and verify its transcript there."""
    episode = await client.open_episode(task, seed=row["seed"])
    try:
        replay = Replay(episode.agent, row["ledger"])
        items = row["response"]["output"]
        await replay.play(items)
        if row["response"]["stop"] == "completed":
            await replay.last_word()
        verdict = await episode.verify(Transcript(items, row["response"]["stop"]))
        return Replayed(verdict.reward, replay.divergences, verdict.judge_usage)
    finally:
        await episode.close()


class Replay:
    """Walks a transcript, so that calls and user replies come in the order in which they happened.

    With a ledger, what it holds is called, and results are compared with it; without one, the transcript's calls
    are made.
    """

    def __init__(self, session: AgentSession, ledger: list[JSONObject] | None) -> None:
        self.divergences: list[str] = []
        self._session = session
        self._ledger = ledger
        self._next = 0
        self._said: list[str] = []

    async def play(self, items: list[Item]) -> None:
        for item in items:
            kind = item.get("type", "message")
            if kind == "function_call":
                await self._call(item)
            elif kind == "function_call_output":
                self._said = []
            elif item.get("role") == "assistant":
                self._said.append(text_of(item))
            elif item.get("role") == "user":
                await self._hear(text_of(item))
        while self._ledger is not None and self._next < len(self._ledger):
            await self._step(self._ledger[self._next])

    async def last_word(self) -> None:
        """Tell a user what they heard last, and answered with nothing."""
        if self._said and self._session.multi_turn:
            await self._hear(None)

    async def _hear(self, recorded: str | None) -> None:
        reply = await self._session.reply("".join(self._said))
        self._said = []
        if reply != recorded:
            self.divergences.append(f"reply: {reply!r:.100}, recorded {recorded!r:.100}")

    async def _call(self, item: Item) -> None:
        """Make a call of the transcript. Malformed ones never reached the environment, and are in no ledger."""
        given = item.get("arguments") or "{}"
        try:
            arguments = given if isinstance(given, dict) else orjson.loads(given)
        except orjson.JSONDecodeError:
            return
        if self._ledger is None:
            if isinstance(arguments, dict):
                await self._session.call(_plain(str(item.get("name", ""))), arguments)
            return
        for entry in self._at_a_time():
            if (item.get("name"), arguments) == (entry["name"], entry["arguments"]):
                while self._next <= entry["seq"]:
                    await self._step(self._ledger[self._next])
                return

    def _at_a_time(self) -> list[JSONObject]:
        """The next entry, and those after it that overlapped with it: they ended in whatever order."""
        following = (self._ledger or [])[self._next :]
        return [e for i, e in enumerate(following) if i == 0 or e["start"] < following[0]["end"]]

    async def _step(self, entry: JSONObject) -> None:
        self._next += 1
        result = await self._session.call(entry["name"], entry["arguments"])
        if result.text != entry["result"]:
            self.divergences.append(
                f"call {entry['seq']} {entry['name']}: {result.text!r:.100}, recorded {entry['result']!r:.100}"
            )


def _plain(name: str) -> str:
    """A tool's name without the `mcp__server__` that some MCP clients put in front."""
    parts = name.split("__", 2)
    return parts[2] if len(parts) == 3 and parts[0] == "mcp" else name
