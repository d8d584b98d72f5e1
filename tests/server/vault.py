"""An environment with a secret, a server with two episodes of it, and everything a bad agent may ask for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gym_mcp import Environment, Task, Transcript, tool
from gym_mcp.episode import Episode
from tests.server.raw import LEGACY, MODERN, Reply
from tests.servers import Running, running

CANARY = "canary-7f3a"
ERAS = (MODERN, LEGACY, "2025-06-18", "2024-11-05")
OPERATOR_TOOLS = (
    "describe list_tasks open_episode list_tools call_tool reply verify_episode episode_state episode_ledger "
    "reference_solution close_episode"
).split()
METHODS: list[tuple[str, dict[str, Any]]] = [
    ("initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}),
    ("ping", {}),
    ("server/discover", {}),
    ("tools/list", {}),
    ("tools/list", {"cursor": "1"}),
    ("prompts/list", {}),
    ("prompts/get", {"name": "task"}),
    ("prompts/get", {"name": "solution"}),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    *(
        ("resources/read", {"uri": uri})
        for uri in ("gym://state", "gym://task", "gym://task/../x", "file:///etc/passwd", "gym://ledger", "x", "")
    ),
    ("resources/subscribe", {"uri": "gym://state"}),
    ("subscriptions/listen", {"notifications": {"toolsListChanged": True}}),
    (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "task"}, "argument": {"name": "a", "value": ""}},
    ),
    ("logging/setLevel", {"level": "debug"}),
    ("sampling/createMessage", {"messages": [], "maxTokens": 1}),
    ("elicitation/create", {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}),
    ("roots/list", {}),
    ("tasks/list", {}),
    ("tasks/get", {"taskId": "1"}),
    ("operator/verify", {}),
    ("io.gym-mcp/verify", {}),
    *(("tools/call", {"name": name, "arguments": {}}) for name in OPERATOR_TOOLS),
    *(
        ("tools/call", {"name": name, "arguments": {}})
        for name in ("verify", "open", "solution", "__init__", "crash")
    ),
]


CALLS: tuple[tuple[str, dict[str, Any]], ...] = (("tools/list", {}), ("tools/call", {"name": "guess"}))


class Vault(Environment):
    """Guess the word."""

    call_timeout = 5.0

    def open(self, task: Task) -> None:
        self.word = task.data["word"]
        self.guesses: list[str] = []
        self.waiting = False

    @tool
    def guess(self, word: str) -> str:
        """Guess."""
        self.guesses.append(word)
        return "noted"

    @tool
    def crash(self) -> str:
        """Fail."""
        raise ValueError(f"the word is {self.word}")

    @tool
    async def wait(self) -> str:
        """Take long."""
        self.waiting = True
        await asyncio.sleep(60)
        return "done"

    def solution(self) -> str:
        return str(self.word)

    def resources(self) -> dict[str, str]:
        if self.task.id == "bad":
            raise ValueError(f"the word is {self.word}")
        return {"hint.txt": "five letters"}

    def verify(self, transcript: Transcript) -> float:
        return float(self.word in self.guesses)

    @classmethod
    def tasks(cls) -> list[dict[str, Any]]:
        return [{"id": "only", "prompt": "Guess.", "data": {"word": CANARY}}]


@asynccontextmanager
async def vault(state: Path) -> AsyncIterator[tuple[Running, Episode, Episode, str]]:
    """A server with an agent's episode, another's, and the agent's URL."""
    async with asyncio.timeout(55), running(state, Vault) as server:
        mine, other = [
            await server.store.open(Task(i, [{"role": "user", "content": "Guess."}], {"word": CANARY}), 0)
            for i in ("mine", "bad")
        ]
        yield server, mine, other, f"{server.url}/episodes/{mine.handle}/mcp"


def guesses(episode: Episode) -> list[str]:
    assert isinstance(episode.environment, Vault)
    return episode.environment.guesses


def leaks(reply: Reply, server: Running, other: Episode) -> list[str]:
    """What must not be in an answer to an agent, and is."""
    secrets = (CANARY, server.key, other.handle, "Traceback", "ValueError", "verify", "operator", "gym_mcp", ".py")
    return [s for s in secrets if s in reply.text]
