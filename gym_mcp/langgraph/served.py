"""Graphs that make their own models (`ChatOpenAI`, `init_chat_model`): the model gateway stands behind them.

Their file is executed once a rollout, with the rollout's own address and key where those clients look for them.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from gym_mcp.errors import LimitReached
from gym_mcp.gateway import Gateway, GatewaySession
from gym_mcp.langgraph.stage import EpisodeOver, Stage
from gym_mcp.models.base import Model, Request, Response

_OWN_MODEL: Final = re.compile(
    r"^\s*(?:from|import)\s+(?:langchain_openai|langchain_anthropic|openai|anthropic)\b|\binit_chat_model\b",
    re.MULTILINE,
)
NOWHERE: Final = ("http://127.0.0.1:9", "none")
"""Address and key with which a file is tried before there is a rollout: nobody answers there."""


def makes_its_own_model(path: Path) -> bool:
    """Whether a graph file mentions a client of a model endpoint."""
    return _OWN_MODEL.search(path.read_text(encoding="utf-8", errors="replace")) is not None


@contextmanager
def addresses(base_url: str, key: str) -> Iterator[None]:
    """The environment variables that clients of models read when they are made."""
    found = {
        "OPENAI_BASE_URL": f"{base_url}/v1",
        "OPENAI_API_BASE": f"{base_url}/v1",
        "OPENAI_API_KEY": key,
        "ANTHROPIC_BASE_URL": base_url,
        "ANTHROPIC_API_URL": base_url,
        "ANTHROPIC_API_KEY": key,
    }
    before = {name: os.environ.get(name) for name in found}
    os.environ.update(found)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class StageModel(Model):
    """What the gateway asks: the rollout's model, every call in the rollout's spans."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.spec = stage.model.spec
        self.price = stage.model.price

    async def respond(self, request: Request) -> Response:
        try:
            return await self._stage.respond(request.input, request.tools, request.params)
        except EpisodeOver:
            raise LimitReached("ended") from None


class Desk:
    """One gateway for all rollouts of a run, opened at the first."""

    def __init__(self) -> None:
        self._gateway = Gateway()
        self._opening = asyncio.Lock()
        self.making = asyncio.Lock()
        """Held while a graph is made: the environment variables are the process's."""

    @asynccontextmanager
    async def open(self, stage: Stage) -> AsyncIterator[GatewaySession]:
        """A rollout's address; what still asks there afterwards is refused."""
        async with self._opening:
            await self._gateway.start()
        gate = self._gateway.open(StageModel(stage), final_text="")
        try:
            yield gate
        finally:
            await gate.aclose()

    async def aclose(self) -> None:
        await self._gateway.aclose()
